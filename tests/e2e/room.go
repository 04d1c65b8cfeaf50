// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sort"

	"k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// What kube-scheduler itself counts before it asks an extender: sums over a whole node. The suite
// counts too, so that it can tell a pod that numawise holds back from one that no node has room for.

// requests are a pod's requests, where a limit alone counts as one, as the API server has it.
func requests(pod *v1.Pod) v1.ResourceList {
	copied := pod.DeepCopy()
	for _, containers := range [][]v1.Container{copied.Spec.InitContainers, copied.Spec.Containers} {
		for i := range containers {
			r := &containers[i].Resources
			for name, limit := range r.Limits {
				if _, ok := r.Requests[name]; !ok {
					if r.Requests == nil {
						r.Requests = v1.ResourceList{}
					}
					r.Requests[name] = limit
				}
			}
		}
	}
	return resource.PodRequests(copied, resource.PodResourcesOptions{})
}

// free is what the pods in a directory leave of a node's allocatable.
func (m *manifests) free(node *v1.Node) v1.ResourceList {
	left := node.Status.Allocatable.DeepCopy()
	for _, pod := range m.pods {
		if pod.Spec.NodeName != node.Name || pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
			continue
		}
		for name, amount := range requests(pod) {
			rest := left[name]
			rest.Sub(amount)
			left[name] = rest
		}
	}
	return left
}

// roomFor are the names of the nodes that have room for a pod as a whole.
func (m *manifests) roomFor(pod *v1.Pod) []string {
	wanted := requests(pod)
	var names []string
nodes:
	for _, node := range m.nodes {
		left := m.free(node)
		for name, amount := range wanted {
			if rest := left[name]; rest.Cmp(amount) < 0 {
				continue nodes
			}
		}
		names = append(names, node.Name)
	}
	return names
}

// largestFirst sorts pods by what they ask for, so that the large ones find an empty cluster.
func largestFirst(pods []*v1.Pod) {
	cpus := func(pod *v1.Pod) int64 {
		wanted := requests(pod)
		return wanted.Cpu().MilliValue()
	}
	sort.SliceStable(pods, func(i, j int) bool { return cpus(pods[i]) > cpus(pods[j]) })
}
