// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/cpuset"
	"numawise.dev/tests/kubelet"
)

// What numawise's bind writes on a pod: the zones of each container by its name.
const predictedZones = ours + "predicted-zones"

// foretold returns the zones that were predicted and those that the containers have, as JSON; empty
// where nothing was predicted.
func foretold(node kubelet.Node, pod *v1.Pod, held []kubelet.Container) (predicted, as string, err error) {
	text, found := pod.Annotations[predictedZones]
	if !found {
		return "", "", nil
	}
	var zones map[string][]int
	if err := json.Unmarshal([]byte(text), &zones); err != nil {
		return "", "", fmt.Errorf("%s on pod %s: %w", predictedZones, pod.Name, err)
	}
	have := map[string][]int{}
	for _, c := range held {
		if of := zonesOf(node, c); len(of) > 0 {
			have[c.Name] = of
		}
	}
	return asJSON(zones), asJSON(have), nil
}

// zonesOf are those of the hint, or of what the container holds where there is no hint.
func zonesOf(node kubelet.Node, c kubelet.Container) []int {
	if len(c.Affinity) > 0 {
		return c.Affinity
	}
	zones := map[int]bool{}
	for _, block := range c.Memory {
		for _, id := range block.Zones {
			zones[id] = true
		}
	}
	if c.CPUs != nil {
		set, err := cpuset.Parse(*c.CPUs)
		if err != nil {
			panic(err) // the kubelet's own text
		}
		for _, zone := range node.Zones {
			for _, core := range zone.Cores {
				if set.Intersection(cpuset.New(core.CPUs...)).Size() > 0 {
					zones[zone.ID] = true
				}
			}
		}
	}
	for _, d := range node.Devices {
		if slices.Contains(c.Devices[d.Resource], d.ID) {
			for _, id := range d.Zones {
				zones[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(zones))
}
