// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"

	"numawise.dev/tests/kubelet"
)

const (
	mi = uint64(1) << 20
	gi = uint64(1) << 30
)

// machine draws zones, CPUs, caches, distances and memory.
func (g *generator) machine() {
	n := pick(g, g.zones)
	zones := make([]kubelet.Zone, n)
	id := 0
	for i := range zones {
		if g.percent(g.apart / 2) {
			id += g.between(1, 60)
		}
		if i > 0 || g.percent(20) {
			for g.percent(g.holes / 2) {
				id++
			}
		}
		zones[i].ID = id
		id++
	}
	g.cores(zones)
	g.number(zones)
	g.caches(zones)
	g.distances(zones)
	g.memories(zones)
	g.node.Zones = zones
	for _, zone := range zones {
		for _, core := range zone.Cores {
			g.cpus = append(g.cpus, core.CPUs...)
		}
	}
	sort.Ints(g.cpus)
}

// cores draws how many cores each zone has, their threads, and their sockets.
func (g *generator) cores(zones []kubelet.Zone) {
	n := len(zones)
	most := 8
	if n > 4 {
		most = 4
	}
	size := g.between(1, most)
	threads := pick(g, []int{1, 2, 2, 2, 2, 4})
	if g.percent(5) {
		threads = 3
	}
	if g.percent(g.large) {
		size, threads = pick(g, []int{8, 12, 16, 24, 32}), pick(g, []int{1, 2, 2})
		size = max(2, size/max(1, n/2))
	}
	uneven, hybrid := g.percent(g.uneven), g.percent(g.uneven/3)
	socket := g.sockets_(n)
	for i := range zones {
		count := size
		if uneven {
			count = g.between(1, most)
		}
		if g.percent(g.cpuless) && (i > 0 || n > 1) {
			count = 0
		}
		zones[i].Cores = []kubelet.Core{}
		for k := range count {
			t := threads
			if hybrid && g.percent(40) {
				t = 1
			}
			zones[i].Cores = append(zones[i].Cores, kubelet.Core{Socket: socket(i, k, count), CPUs: make([]int, t)})
		}
	}
	for _, zone := range zones {
		if len(zone.Cores) > 0 {
			return
		}
	}
	zones[0].Cores = []kubelet.Core{{Socket: socket(0, 0, 1), CPUs: make([]int, threads)}}
}

// sockets_ returns the socket of core k of the count cores of zone i.
func (g *generator) sockets_(zones int) func(i, k, count int) int {
	if !g.percent(g.sockets) {
		per := pick(g, []int{1, 1, 2, 4, zones})
		return func(i, _, _ int) int { return i / per }
	}
	switch g.IntN(4) {
	case 0: // several sockets in a zone
		per := g.between(2, 3)
		return func(i, k, count int) int { return i*per + k*per/count }
	case 1: // zones dealt to sockets round about
		all := g.between(1, zones)
		return func(i, _, _ int) int { return i % all }
	case 2: // uneven sockets
		of := make([]int, zones)
		for i := 1; i < zones; i++ {
			of[i] = of[i-1] + g.IntN(2)
		}
		return func(i, _, _ int) int { return of[i] }
	default: // sockets that reach over zones
		all := g.between(1, zones+1)
		return func(i, k, _ int) int { return (i + k) % all }
	}
}

// number gives the CPUs their numbers.
func (g *generator) number(zones []kubelet.Zone) {
	var cores []*kubelet.Core
	total, most := 0, 0
	for i := range zones {
		for k := range zones[i].Cores {
			core := &zones[i].Cores[k]
			cores = append(cores, core)
			total += len(core.CPUs)
			most = max(most, len(core.CPUs))
		}
	}
	if g.percent(20) { // cores of all zones in turn, or in no order at all
		g.Shuffle(len(cores), func(i, k int) { cores[i], cores[k] = cores[k], cores[i] })
	}
	ids := make([]int, 0, total)
	for id := 0; len(ids) < total; id++ {
		if len(ids) > 0 && g.percent(2) {
			id += g.IntN(3) // CPUs that are not online
		}
		ids = append(ids, id)
	}
	if g.percent(5) {
		g.Shuffle(total, func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	}
	next := 0
	if g.percent(50) { // siblings side by side
		for _, core := range cores {
			next += copy(core.CPUs, ids[next:])
		}
	} else {
		for t := range most {
			for _, core := range cores {
				if t < len(core.CPUs) {
					core.CPUs[t] = ids[next]
					next++
				}
			}
		}
	}
	for _, core := range cores {
		sort.Ints(core.CPUs)
	}
}

// caches draws the L3 groups.
func (g *generator) caches(zones []kubelet.Zone) {
	odd := g.percent(g.uncores)
	kind := g.IntN(4)
	per := g.between(1, 3)
	if g.percent(g.large) {
		per = pick(g, []int{2, 4, 8})
	}
	next := 0
	for i := range zones {
		for k := range zones[i].Cores {
			core := &zones[i].Cores[k]
			switch {
			case !odd:
				core.Uncore = i
			case kind < 2: // several in a zone
				if k > 0 && k%per == 0 {
					next++
				}
				core.Uncore = next
			case kind == 2: // one for each socket
				core.Uncore = core.Socket
			default:
				core.Uncore = g.IntN(2 * len(zones))
			}
		}
		next++
	}
}

func (g *generator) distances(zones []kubelet.Zone) {
	n := len(zones)
	kind := g.IntN(4)
	for i := range zones {
		zones[i].Distances = make([]uint64, n)
	}
	for i := range n {
		for k := range n {
			d := uint64(10)
			switch {
			case i == k && !g.percent(3):
			case kind == 0:
				d = 20
			case kind == 1: // neighbours
				d = 16
				if i/2 != k/2 {
					d = 32
				}
			default:
				d = uint64(g.between(11, 40))
			}
			zones[i].Distances[k] = d
			if kind != 3 && k < i { // 3: not symmetric
				zones[i].Distances[k] = zones[k].Distances[i]
			}
		}
	}
}

// memories draws memory and huge pages, and what of them is reserved.
func (g *generator) memories(zones []kubelet.Zone) {
	size := pick(g, []uint64{2 * gi, 8 * gi, 16 * gi, 64 * gi})
	var pages []string
	if g.percent(g.pages) {
		pages = pick(g, [][]string{{"hugepages-2Mi"}, {"hugepages-1Gi"}, {"hugepages-2Mi", "hugepages-1Gi"}})
	}
	reserveAll := g.percent(40)
	for i := range zones {
		zone := &zones[i]
		zone.Memory.Total = size
		if g.percent(30) {
			zone.Memory.Total = size - uint64(g.IntN(int(size/mi/2)))*mi
		}
		if g.percent(5) {
			zone.Memory.Total = size/2 + uint64(g.IntN(1<<20))
		}
		memless := len(zones) > 1 && g.percent(g.memless)
		if memless {
			zone.Memory.Total = 0
		}
		if !memless && (i == 0 || reserveAll) {
			zone.Memory.Reserved = uint64(g.between(1, int(size/mi/4))) * mi
		}
		left := zone.Memory.Total - zone.Memory.Reserved
		for _, name := range pages {
			if g.percent(3) || (memless && g.percent(30)) {
				continue // a zone that does not know the size
			}
			page := uint64(2 * mi)
			if name == "hugepages-1Gi" {
				page = gi
			}
			amount := kubelet.Amount{}
			if !memless && !g.percent(15) {
				amount.Total = uint64(g.IntN(int(left/page/2)+1)) * page
			}
			if g.percent(3) {
				amount.Total += zone.Memory.Total / page * page // more than there is: wraps
			}
			left -= min(left, amount.Total)
			if g.percent(10) {
				amount.Reserved = uint64(g.IntN(int(amount.Total/page)+1)) * page
			}
			if zone.HugePages == nil {
				zone.HugePages = map[string]kubelet.Amount{}
			}
			zone.HugePages[name] = amount
		}
	}
}

// plugins draws devices.
func (g *generator) plugins() {
	if !g.percent(g.devices) {
		return
	}
	names := []string{"example.com/gpu", "example.com/nic", "example.com/key"}
	for _, name := range names[:pick(g, []int{1, 1, 2, 3})] {
		g.plugin(name)
	}
}

func (g *generator) plugin(resource string) {
	zones := g.node.Zones
	var hosts []int
	for _, zone := range zones {
		if g.percent(60) {
			hosts = append(hosts, zone.ID)
		}
	}
	if len(hosts) == 0 {
		hosts = []int{pick(g, zones).ID}
	}
	if len(hosts) > 4 && g.percent(70) {
		g.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
		hosts = hosts[:3]
		sort.Ints(hosts)
	}
	odd := g.percent(g.odd)
	nowhere := odd && g.percent(10)
	count := g.between(1, 8)
	for i := range count {
		d := kubelet.Device{Resource: resource, ID: fmt.Sprintf("%c%02d", resource[len("example.com/")], i), Healthy: true}
		d.Zones = []int{pick(g, hosts)}
		if odd {
			switch g.IntN(6) {
			case 0:
				d.Zones = nil
			case 1:
				d.Zones = append([]int{}, hosts...)
			case 2:
				d.Zones = append(d.Zones, pick(g, zones).ID)
			case 3:
				d.Healthy = g.percent(50)
			}
			if g.percent(4) || nowhere {
				d.Zones = []int{zones[len(zones)-1].ID + 1 + g.IntN(3)}
			}
		} else if g.percent(5) {
			d.Healthy = false
		}
		g.node.Devices = append(g.node.Devices, d)
	}
}
