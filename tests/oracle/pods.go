// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	"numawise.dev/tests/kubelet"
)

// The kubelet walks all combinations of the hints of a container; beyond this it is too slow here.
const mostCombinations = 70_000

// pod draws a pod that this machine may or may not have room for.
func (g *generator) pod() kubelet.Pod {
	p := kubelet.Pod{UID: fmt.Sprintf("p%d", g.uids)}
	g.uids++
	guaranteed := !g.percent(g.burst)
	whole := g.percent(85) // CPUs
	for i := range g.number_(4) {
		p.Containers = append(p.Containers, g.container(fmt.Sprintf("c%d", i), guaranteed, whole))
	}
	if g.percent(g.init) {
		for i := range g.number_(3) {
			c := g.container(fmt.Sprintf("i%d", i), guaranteed, whole)
			if g.percent(40) {
				c.RestartPolicy = "Always"
			} else if g.percent(5) {
				c.RestartPolicy = "OnFailure" // an ordinary one
			}
			p.InitContainers = append(p.InitContainers, c)
		}
	}
	g.cheapen(&p)
	return p
}

// number_ is mostly 1, at most `most`.
func (g *generator) number_(most int) int {
	n := 1
	if g.percent(2) {
		return g.between(most, 3*most)
	}
	for n < most && g.percent(25) {
		n++
	}
	return n
}

func (g *generator) container(name string, guaranteed, whole bool) kubelet.PodContainer {
	c := kubelet.PodContainer{Name: name, Limits: map[string]string{}}
	pages := guaranteed || g.percent(30)
	guaranteed = guaranteed && !g.percent(2) // one container makes the whole pod another class
	if guaranteed {
		c.Limits["cpu"] = g.cpu(whole)
		c.Limits["memory"] = g.memory()
	} else {
		g.loosen(&c)
	}
	for _, zone := range g.node.Zones {
		for page := range zone.HugePages {
			if _, set := c.Limits[page]; !set && pages {
				c.Limits[page] = "" // drawn below, in a fixed order
			}
		}
	}
	for _, page := range []string{"hugepages-2Mi", "hugepages-1Gi"} {
		if _, there := c.Limits[page]; there {
			delete(c.Limits, page)
			if g.percent(45) {
				c.Limits[page] = g.page(page)
			}
		}
	}
	if g.percent(1) && guaranteed && g.percent(30) {
		c.Limits["hugepages-32Mi"] = "32Mi" // no machine has them
	}
	g.hold(&c)
	return c
}

// loosen makes a container that is not Guaranteed.
func (g *generator) loosen(c *kubelet.PodContainer) {
	switch g.IntN(4) {
	case 0: // nothing asked for at all
	case 1:
		c.Requests = map[string]string{"cpu": "500m", "memory": "64Mi"}
		c.Limits["cpu"], c.Limits["memory"] = "1", "128Mi"
	case 2:
		c.Limits["cpu"] = g.cpu(true)
	case 3:
		c.Limits["cpu"], c.Limits["memory"] = "0", g.memory()
	}
}

// cpu draws a number of CPUs: few, about a zone, several zones, more than there are.
func (g *generator) cpu(whole bool) string {
	if !whole && g.percent(60) {
		return pick(g, []string{"1500m", "250m", "1", "2.5", "2000m", "100m"})
	}
	n := g.between(1, 3)
	zone := pick(g, g.node.Zones)
	size := 0
	for _, core := range zone.Cores {
		size += len(core.CPUs)
	}
	switch d := g.IntN(100); {
	case d < 35:
	case g.large > 0 && d < 90:
		n = pick(g, []int{2, 4, 4, 6, 8, 8, 12, 16, 16, 24, 32, 48, 64, 96})
	case d < 60:
		n = size + g.between(-2, 1)
	case d < 80:
		n = g.between(1, max(1, len(g.cpus)/2))
	case d < 95:
		n = g.between(1, len(g.cpus))
	default:
		n = len(g.cpus) + g.between(0, 4)
	}
	if g.percent(4) {
		return fmt.Sprintf(pick(g, []string{"%d.0", "%de0", "%d000m"}), max(1, n))
	}
	return strconv.Itoa(max(1, n))
}

// memory draws bytes: little, a part of a zone, about a zone, several zones.
func (g *generator) memory() string {
	zone := pick(g, g.node.Zones)
	size := zone.Memory.Total - min(zone.Memory.Total, zone.Memory.Reserved)
	for _, pages := range zone.HugePages {
		size -= min(size, pages.Total)
	}
	var all uint64
	for _, z := range g.node.Zones {
		all += z.Memory.Total
	}
	amount := uint64(g.between(1, 400)) * mi
	if g.percent(g.tight) {
		switch d := g.IntN(100); {
		case d < 30:
			amount = size / uint64(g.between(2, 5))
		case d < 55:
			amount = size - min(size, uint64(g.IntN(300))*mi)
		case d < 65:
			amount = size + uint64(g.IntN(3))
		case d < 90:
			amount = size + all/uint64(len(g.node.Zones))*uint64(g.IntN(100))/100
		case d < 97:
			amount = all * uint64(g.between(30, 100)) / 100
		default:
			amount = all * 2
		}
	}
	amount = max(1, amount)
	if g.percent(2) {
		return pick(g, []string{"1.3Gi", "1.5Gi", "128m", "1e9", "2G", "100Ti", "99Ti", "1Pi", "0.5Gi", "1500k", "3e6"})
	}
	if amount%mi == 0 && g.percent(80) {
		return strconv.FormatUint(amount/mi, 10) + "Mi"
	}
	return strconv.FormatUint(amount, 10)
}

func (g *generator) page(name string) string {
	zone := pick(g, g.node.Zones)
	page := 2 * mi
	if name == "hugepages-1Gi" {
		page = gi
	}
	n := uint64(g.between(1, 4))
	if total := zone.HugePages[name].Total / page; total > 0 && g.percent(50) {
		n = max(1, total*uint64(g.between(20, 150))/100)
	}
	if g.percent(4) {
		n = 0
	}
	if n > 0 && n*page%gi == 0 {
		return strconv.FormatUint(n*page/gi, 10) + "Gi"
	}
	return strconv.FormatUint(n*page/mi, 10) + "Mi"
}

// hold adds devices.
func (g *generator) hold(c *kubelet.PodContainer) {
	total := map[string]int{}
	var names []string
	for _, d := range g.node.Devices {
		if total[d.Resource] == 0 {
			names = append(names, d.Resource)
		}
		total[d.Resource]++
	}
	for _, name := range names {
		if !g.percent(55) {
			continue
		}
		n := g.between(1, 2)
		switch {
		case g.percent(1):
			n = 100000
		case g.percent(30):
			n = g.between(1, total[name]+1)
		case g.percent(5):
			n = 0
		}
		c.Limits[name] = strconv.Itoa(n)
	}
	if g.percent(1) {
		c.Limits["example.com/other"] = "1" // no plugin
	}
}

// cheapen takes away what would make the kubelet walk too many combinations.
func (g *generator) cheapen(p *kubelet.Pod) {
	if policy := g.node.Kubelet.TopologyManagerPolicy; policy == "none" || policy == "single-numa-node" {
		return
	}
	masks := func(zones int) int { return 1<<zones - 1 }
	withCPUs := 0
	for _, zone := range g.node.Zones {
		if len(zone.Cores) > 0 {
			withCPUs++
		}
	}
	hosts := map[string]map[int]bool{}
	for _, d := range g.node.Devices {
		if hosts[d.Resource] == nil {
			hosts[d.Resource] = map[int]bool{}
		}
		for _, id := range d.Zones {
			hosts[d.Resource][id] = true
		}
	}
	whole := g.node.Kubelet.TopologyManagerScope == "pod"
	used := map[string]bool{}
	check := func(c *kubelet.PodContainer) {
		if !whole {
			used = map[string]bool{}
		}
		cost := func(name string) int {
			switch {
			case name == "cpu" && g.node.Kubelet.CPUManagerPolicy == "static":
				return masks(withCPUs)
			case name == "cpu":
				return 1
			case (name == "memory" || hosts[name] == nil) && g.node.Kubelet.MemoryManagerPolicy == "Static":
				return masks(len(g.node.Zones))
			case hosts[name] != nil && len(hosts[name]) > 0:
				return masks(len(hosts[name]))
			}
			return 1
		}
		total := 1
		for name := range used {
			total *= cost(name)
		}
		for _, name := range []string{"memory", "cpu", "hugepages-2Mi", "hugepages-1Gi", "hugepages-32Mi", "example.com/gpu",
			"example.com/nic", "example.com/key"} {
			if _, there := c.Limits[name]; !there || used[name] {
				continue
			}
			if total*cost(name) > mostCombinations {
				switch name {
				case "cpu":
					c.Limits[name] = "500m"
				default:
					delete(c.Limits, name)
				}
				continue
			}
			total *= cost(name)
			used[name] = true
		}
	}
	for i := range p.InitContainers {
		check(&p.InitContainers[i])
	}
	for i := range p.Containers {
		check(&p.Containers[i])
	}
}
