// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pod is a pod of the recorded vectors.
type Pod struct {
	UID            string         `json:"uid"`
	InitContainers []PodContainer `json:"initContainers,omitempty"`
	Containers     []PodContainer `json:"containers"`
}

// PodContainer has quantities as text, which the API server writes anew before a kubelet sees them.
// A request that is missing equals the limit.
type PodContainer struct {
	Name          string            `json:"name"`
	RestartPolicy string            `json:"restartPolicy,omitempty"` // Always: a sidecar
	Requests      map[string]string `json:"requests,omitempty"`
	Limits        map[string]string `json:"limits,omitempty"`
}

func quantities(texts map[string]string) (v1.ResourceList, error) {
	list := v1.ResourceList{}
	for name, text := range texts {
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", name, text, err)
		}
		if q, err = resource.ParseQuantity(q.String()); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", name, text, err)
		}
		list[v1.ResourceName(name)] = q
	}
	return list, nil
}

func containers(described []PodContainer) ([]v1.Container, error) {
	var list []v1.Container
	for _, d := range described {
		limits, err := quantities(d.Limits)
		if err != nil {
			return nil, err
		}
		requests, err := quantities(d.Requests)
		if err != nil {
			return nil, err
		}
		for name, q := range limits {
			if _, given := requests[name]; !given {
				requests[name] = q
			}
		}
		c := v1.Container{Name: d.Name, Resources: v1.ResourceRequirements{Requests: requests, Limits: limits}}
		if d.RestartPolicy != "" {
			policy := v1.ContainerRestartPolicy(d.RestartPolicy)
			c.RestartPolicy = &policy
		}
		list = append(list, c)
	}
	return list, nil
}

// Object returns the pod as the kubelet gets it.
func (p Pod) Object() (*v1.Pod, error) {
	init, err := containers(p.InitContainers)
	if err != nil {
		return nil, err
	}
	apps, err := containers(p.Containers)
	if err != nil {
		return nil, err
	}
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: p.UID, UID: types.UID(p.UID)},
		Spec:       v1.PodSpec{InitContainers: init, Containers: apps},
	}, nil
}
