// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"k8s.io/utils/cpuset"
)

const (
	fullPCPUs    = "full-pcpus-only"
	acrossNUMA   = "distribute-cpus-across-numa"
	bySocket     = "align-by-socket"
	byUncore     = "prefer-align-cpus-by-uncorecache"
	strictly     = "strict-cpu-reservation"
	acrossCores  = "distribute-cpus-across-cores"
	closestZones = "prefer-closest-numa-nodes"
	maxZones     = "max-allowable-numa-nodes"
)

// configure draws the kubelet's configuration: one that works, or where the shape says so any.
func (g *generator) configure() {
	k := &g.node.Kubelet
	k.TopologyManagerPolicy = pick(g, g.policies)
	k.TopologyManagerScope = pick(g, []string{"container", "container", "pod"})
	options := map[string]string{}
	if g.percent(g.closest) {
		options[closestZones] = "true"
	} else if g.percent(10) {
		options[closestZones] = "false"
	}
	if n := len(g.node.Zones); n > 8 {
		options[maxZones] = strconv.Itoa(n + g.IntN(3))
	} else if g.percent(5) {
		options[maxZones] = strconv.Itoa(8 + g.IntN(8))
	}
	if len(options) > 0 {
		k.TopologyManagerPolicyOptions = options
	}
	k.CPUManagerPolicy = "static"
	if g.percent(g.cpuNone) {
		k.CPUManagerPolicy = "none"
	}
	k.MemoryManagerPolicy = "Static"
	if g.percent(g.memNone) {
		k.MemoryManagerPolicy = "None"
	}
	if k.CPUManagerPolicy == "static" {
		k.CPUManagerPolicyOptions = g.cpuOptions()
		g.reserve()
	}
	if g.percent(g.illegal) {
		g.spoil()
	}
}

func (g *generator) cpuOptions() map[string]string {
	on := map[string]bool{}
	for _, name := range []string{fullPCPUs, bySocket, strictly, acrossCores} {
		on[name] = g.percent(g.options)
	}
	on[acrossNUMA] = g.percent(g.spread)
	on[byUncore] = g.percent(max(g.options, g.uncores-20))
	// What does not go together.
	if on[acrossCores] && (on[fullPCPUs] || on[acrossNUMA] || on[byUncore]) {
		on[acrossCores] = false
	}
	if on[byUncore] && on[acrossNUMA] {
		on[byUncore] = false
	}
	if g.node.Kubelet.TopologyManagerPolicy == "single-numa-node" {
		on[bySocket] = false
	}
	var options map[string]string
	for name, set := range on {
		if !set && !g.percentOf(name) {
			continue
		}
		if options == nil {
			options = map[string]string{}
		}
		options[name] = strconv.FormatBool(set)
	}
	return options
}

// percentOf says, rarely and always the same for a case, that an option is written out as false.
func (g *generator) percentOf(name string) bool {
	return (len(g.cpus)+len(name))%23 == 0
}

// reserve draws reserved CPUs: some of the lowest, any, or a number.
func (g *generator) reserve() {
	k := &g.node.Kubelet
	n := len(g.cpus)
	count := g.between(1, max(1, min(4, n/3)))
	switch g.IntN(5) {
	case 0:
		k.ReservedCPUCount = count
	case 1:
		any := append([]int{}, g.cpus...)
		g.Shuffle(n, func(i, j int) { any[i], any[j] = any[j], any[i] })
		k.ReservedCPUs = cpuset.New(any[:count]...).String()
	case 2: // whole cores
		set := cpuset.New()
		for range count {
			zone := pick(g, g.node.Zones)
			if len(zone.Cores) > 0 {
				set = set.Union(cpuset.New(pick(g, zone.Cores).CPUs...))
			}
		}
		k.ReservedCPUs = set.String()
	case 3: // one in each zone
		set := cpuset.New()
		for _, zone := range g.node.Zones {
			if len(zone.Cores) > 0 {
				set = set.Union(cpuset.New(zone.Cores[0].CPUs[0]))
			}
		}
		k.ReservedCPUs = set.String()
	}
	if k.ReservedCPUCount == 0 && k.ReservedCPUs == "" {
		k.ReservedCPUs = cpuset.New(g.cpus[:count]...).String()
	}
}

// spoil makes a configuration with which a kubelet may not start.
func (g *generator) spoil() {
	k := &g.node.Kubelet
	cpu := func(names ...string) {
		k.CPUManagerPolicyOptions = map[string]string{}
		for _, name := range names {
			k.CPUManagerPolicyOptions[name] = "true"
		}
	}
	topology := func(name, value string) {
		k.TopologyManagerPolicyOptions = map[string]string{name: value}
	}
	switch g.IntN(14) {
	case 0:
		cpu(acrossCores, pick(g, []string{fullPCPUs, acrossNUMA, byUncore}))
	case 1:
		cpu(byUncore, acrossNUMA)
	case 2:
		cpu(bySocket)
	case 3:
		cpu(pick(g, []string{"align-by-die", "full-pcpus"}))
	case 4:
		topology(maxZones, strconv.Itoa(g.between(0, 9)))
	case 5:
		topology(maxZones, pick(g, []string{"many", "", "9.5"}))
	case 6:
		topology(closestZones, pick(g, []string{"yes", "1", "T", "True", "FALSE"}))
	case 7:
		topology("prefer-nearest", "true")
	case 8:
		k.TopologyManagerScope = pick(g, []string{"", "node"})
	case 9:
		k.TopologyManagerPolicy = pick(g, []string{"", "strict"})
	case 10:
		k.ReservedCPUs = ""
		k.ReservedCPUCount = pick(g, []int{0, len(g.cpus), len(g.cpus) + 1})
	case 11:
		k.ReservedCPUs = strconv.Itoa(g.cpus[len(g.cpus)-1] + 1)
	case 12:
		for i := range g.node.Zones {
			g.node.Zones[i].Memory.Reserved = 0
		}
	case 13:
		cpu(fullPCPUs)
		k.CPUManagerPolicyOptions[strictly] = pick(g, []string{"1", "on", "False", "t"})
	}
}
