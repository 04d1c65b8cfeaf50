// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"numawise.dev/tests/kubelet"
)

// How often a case is solved: Go walks maps in a random order, and what that changes is not to be
// compared.
const solutions = 4

// A step that takes longer does not return at all, or is too slow to be of use.
const stepLimit = 10 * time.Second

// hangs is what a case says where the kubelet never returns.
const hangs = "does not return"

// solve fills in what the kubelet does with the case. False where a step ran into stepLimit: some
// thread is then still at it, and the process should end soon.
func solve(c *Case) bool {
	c.StartError, c.ReservedCPUs, c.Results = "", "", nil
	first := *c
	if !once(&first) {
		*c = first
		return false
	}
	for i := 1; i < solutions && first.StartError == ""; i++ {
		again := *c
		if !once(&again) {
			*c = again
			return false
		}
		keep := 0
		for keep < len(first.Results) && keep < len(again.Results) && same(first.Results[keep], again.Results[keep]) {
			keep++
		}
		first.Steps, first.Results = first.Steps[:keep], first.Results[:keep]
	}
	*c = first
	return true
}

// once solves a case for the first time, or again.
func once(c *Case) bool {
	k, err := kubelet.New(c.Node)
	if err != nil {
		c.StartError = err.Error()
		return true
	}
	c.ReservedCPUs = k.ReservedCPUs()
	admitted := map[string]*v1.Pod{}
	for i, step := range c.Steps {
		if step.Remove != "" && admitted[step.Remove] != nil && k.ReleaseIsOrdered(admitted[step.Remove]) {
			c.Steps = c.Steps[:i]
			return true
		}
		result, verdict := limited(k, step, admitted)
		switch verdict {
		case tooSlow:
			c.Steps = c.Steps[:i]
			return false
		case ordered:
			c.Steps = c.Steps[:i]
			return true
		}
		c.Results = append(c.Results, result)
		if result.Panic != "" {
			c.Steps = c.Steps[:i+1]
			return result.Panic != hangs
		}
	}
	return true
}

type verdict int

const (
	done    verdict = iota
	tooSlow         // stepLimit
	ordered         // the result depends on the order of a map
)

// limited runs one step for at most stepLimit.
func limited(k *kubelet.Kubelet, step Step, admitted map[string]*v1.Pod) (Result, verdict) {
	type outcome struct {
		result  Result
		verdict verdict
	}
	ready := make(chan outcome, 1)
	go func() {
		r, v := run(k, step, admitted)
		ready <- outcome{r, v}
	}()
	select {
	case o := <-ready:
		return o.result, o.verdict
	case <-time.After(stepLimit):
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	// The one loop in these managers that may have no end; whatever else takes long is slow only.
	if step.Admit != nil && strings.Contains(string(stacks), "takeByTopologyNUMADistributed") {
		pod, err := step.Admit.Object()
		if err != nil {
			panic(err)
		}
		return Result{Panic: hangs, QOS: kubelet.QOS(pod)}, done
	}
	return Result{}, tooSlow
}

func run(k *kubelet.Kubelet, step Step, admitted map[string]*v1.Pod) (result Result, v verdict) {
	switch {
	case step.Admit != nil:
		return admit(k, step.Admit, admitted)
	case step.Start != "":
		k.Start(step.Start)
	case step.Remove != "":
		k.Remove(step.Remove)
		delete(admitted, step.Remove)
	}
	state := k.State()
	return Result{State: &state}, done
}

func admit(k *kubelet.Kubelet, described *kubelet.Pod, admitted map[string]*v1.Pod) (result Result, v verdict) {
	pod, err := described.Object()
	if err != nil {
		panic(fmt.Sprintf("%s: %v", described.UID, err)) // the case is wrong
	}
	defer func() {
		if died := recover(); died != nil {
			result = Result{Panic: fmt.Sprint(died), QOS: kubelet.QOS(pod)}
		}
	}()
	answer := k.Admit(pod)
	result = Result{
		Admitted:   &answer.Admit,
		Reason:     answer.Reason,
		Message:    answer.Message,
		QOS:        kubelet.QOS(pod),
		Containers: k.Containers(pod),
	}
	state := k.State()
	result.State = &state
	if answer.Admit {
		admitted[described.UID] = pod
	} else {
		if k.ReleaseIsOrdered(pod) {
			return result, ordered
		}
		k.Settle()
		settled := k.State()
		result.Settled = &settled
	}
	v = unspecify(k, described, &result)
	if result.Settled != nil && same(result.State, result.Settled) {
		result.Settled = nil
	}
	return result, v
}

func (r *Result) unspecify(field string) {
	r.Unspecified = append(r.Unspecified, field)
}

// blank empties the fields that are unspecified.
func (r *Result) blank() {
	for _, field := range r.Unspecified {
		switch field {
		case "message":
			r.Message = ""
		case "state.freeDevices":
			r.State.FreeDevices = nil
		}
		for i := range r.Containers {
			if field == "containers."+r.Containers[i].Name+".devices" {
				r.Containers[i].Devices = nil
			}
		}
	}
}

// container is a container of a pod, with the plugins' resources that it asks for.
type container struct {
	kubelet.PodContainer
	resources []string
}

// got says whether it was given all the devices that it asks for.
func (c container) got(held kubelet.Container) bool {
	for _, name := range c.resources {
		if want, err := strconv.Atoi(c.Limits[name]); err != nil || len(held.Devices[name]) != want {
			return false
		}
	}
	return true
}

// unspecify finds out what depends on the order of a map, and empties it.
func unspecify(k *kubelet.Kubelet, pod *kubelet.Pod, r *Result) verdict {
	var all []container
	for _, described := range append(append([]kubelet.PodContainer{}, pod.InitContainers...), pod.Containers...) {
		c := container{PodContainer: described}
		for name := range c.Limits {
			if k.HasPlugin(name) {
				c.resources = append(c.resources, name)
			}
		}
		all = append(all, c)
	}
	// One of several resources of a container was short: the others may be held or not.
	if !*r.Admitted && strings.Contains(r.Message, " devices ") {
		failed := 0
		for failed < len(all)-1 && all[failed].got(r.Containers[failed]) {
			failed++
		}
		if len(all[failed].resources) > 1 {
			r.unspecify("message")
			r.unspecify("state.freeDevices")
			r.unspecify("containers." + all[failed].Name + ".devices")
		}
	}
	return unspecifyReused(pod, all, r)
}

// unspecifyReused: an init container held more devices than a later container takes; which ones that
// takes is open, and what a third one then gets is anybody's guess.
func unspecifyReused(pod *kubelet.Pod, all []container, r *Result) verdict {
	reusable := map[string]map[string]bool{}
	open := map[string]bool{}
	for i, c := range all {
		fields := false
		for _, name := range c.resources {
			held := r.Containers[i].Devices[name]
			if len(held) == 0 {
				continue
			}
			if open[name] {
				return ordered
			}
			if reusable[name] == nil {
				reusable[name] = map[string]bool{}
			}
			open[name] = len(held) < len(reusable[name])
			fields = fields || open[name]
			ordinary := i < len(pod.InitContainers) && c.RestartPolicy != "Always"
			for _, id := range held {
				if ordinary {
					reusable[name][id] = true
				} else {
					delete(reusable[name], id)
				}
			}
		}
		if fields {
			r.unspecify("containers." + c.Name + ".devices")
		}
	}
	r.blank()
	return done
}
