// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"

	"numawise.dev/tests/kubelet"
)

// shape says what a family of random cases has much of. Probabilities are percent.
type shape struct {
	name     string
	zones    []int // numbers of zones, one is drawn
	holes    int   // holes in the zone ids
	cpuless  int   // a zone without CPUs
	memless  int   // a zone without memory
	uneven   int   // zones of different size, cores with different numbers of threads
	sockets  int   // sockets that are not one per zone or whole zones
	uncores  int   // L3 groups that are not the zones
	options  int   // each CPU manager option
	spread   int   // distribute-cpus-across-numa
	closest  int   // prefer-closest-numa-nodes
	cpuNone  int   // CPU manager none
	memNone  int   // Memory Manager None
	pages    int   // huge pages
	tight    int   // pods as large as what is left, or a little larger
	devices  int   // device plugins
	odd      int   // devices with many zones, with none, with unknown ones; unhealthy
	init     int   // init containers
	burst    int   // pods that are not Guaranteed
	release  int   // removals and starts among the steps
	steps    [2]int
	policies []string // one is drawn
	illegal  int      // a configuration with which no kubelet starts
	apart    int      // zone ids that are far from each other, beyond 63 too
	large    int      // machines as they are sold, with many cores
}

var allPolicies = []string{"none", "best-effort", "best-effort", "restricted", "restricted", "single-numa-node"}

var shapes = []shape{
	{name: "plain", zones: []int{1, 2, 2, 2, 3, 4}, holes: 10, cpuless: 5, memless: 5, uneven: 15, sockets: 15, uncores: 20,
		options: 15, spread: 15, closest: 30, cpuNone: 10, memNone: 20, pages: 25, tight: 40, devices: 40, odd: 30, init: 30,
		burst: 15, release: 25, steps: [2]int{3, 12}, policies: allPolicies},
	{name: "zones", zones: []int{5, 5, 6, 7, 8}, holes: 20, cpuless: 25, memless: 25, uneven: 25, sockets: 20, uncores: 20,
		options: 10, spread: 25, closest: 50, cpuNone: 15, memNone: 40, pages: 10, tight: 40, devices: 30, odd: 30, init: 20,
		burst: 15, release: 25, steps: [2]int{3, 10}, policies: allPolicies},
	{name: "over-eight", zones: []int{9, 10, 11, 12}, holes: 20, cpuless: 60, memless: 20, uneven: 25, sockets: 20, uncores: 20,
		options: 10, spread: 20, closest: 40, cpuNone: 30, memNone: 60, tight: 30, devices: 40, odd: 30, init: 20, burst: 20,
		release: 20, steps: [2]int{2, 6}, policies: allPolicies, illegal: 10},
	{name: "sockets", zones: []int{1, 2, 3, 4, 4, 6}, holes: 10, cpuless: 10, uneven: 60, sockets: 80, uncores: 50, options: 25,
		spread: 20, closest: 20, memNone: 70, tight: 50, init: 25, release: 35, steps: [2]int{4, 14}, policies: allPolicies},
	{name: "uncore", zones: []int{1, 1, 2, 2, 4}, uneven: 40, sockets: 20, uncores: 90, options: 10, memNone: 80, tight: 40, init: 20,
		release: 40, steps: [2]int{5, 16}, policies: allPolicies},
	{name: "spread", zones: []int{2, 3, 4, 4, 5, 6, 7, 8}, holes: 10, cpuless: 10, uneven: 50, sockets: 25, uncores: 10, options: 25,
		spread: 100, memNone: 90, tight: 30, init: 15, release: 40, steps: [2]int{4, 14},
		policies: []string{"none", "none", "best-effort", "restricted"}},
	{name: "groups", zones: []int{2, 2, 3, 4, 5}, holes: 10, cpuless: 15, memless: 15, uneven: 10, options: 5, closest: 15,
		cpuNone: 45, pages: 30, tight: 60, devices: 30, odd: 20, init: 30, release: 35, steps: [2]int{8, 30},
		policies: []string{"none", "best-effort", "best-effort", "best-effort", "restricted", "single-numa-node"}},
	{name: "pages", zones: []int{1, 2, 2, 3, 4}, holes: 10, cpuless: 10, memless: 15, closest: 15, cpuNone: 40, pages: 100, tight: 50,
		devices: 10, init: 40, burst: 10, release: 30, steps: [2]int{4, 14}, policies: allPolicies},
	{name: "devices", zones: []int{1, 2, 2, 3, 4, 5, 6}, holes: 20, cpuless: 15, uneven: 10, closest: 30, cpuNone: 40, memNone: 60,
		tight: 30, devices: 100, odd: 60, init: 35, burst: 50, release: 30, steps: [2]int{4, 14}, policies: allPolicies},
	{name: "init", zones: []int{1, 2, 2, 3, 4}, uneven: 20, sockets: 10, uncores: 10, options: 20, spread: 15, closest: 20, cpuNone: 10,
		memNone: 25, pages: 25, tight: 40, devices: 40, odd: 20, init: 100, burst: 10, release: 30, steps: [2]int{4, 12},
		policies: allPolicies},
	{name: "closest", zones: []int{2, 3, 4, 5, 6, 8}, holes: 30, cpuless: 15, memless: 10, uneven: 20, closest: 100, cpuNone: 20,
		memNone: 50, tight: 40, devices: 30, odd: 40, init: 20, burst: 10, release: 25, steps: [2]int{3, 12},
		policies: []string{"best-effort", "best-effort", "restricted", "single-numa-node"}},
	{name: "halves", zones: []int{3, 4, 4, 5, 6}, uneven: 40, options: 60, spread: 100, memNone: 100, tight: 20, release: 45,
		steps: [2]int{10, 40}, policies: []string{"none", "none", "best-effort"}},
	{name: "deep", zones: []int{1, 2, 2, 3, 4}, holes: 5, cpuless: 5, uneven: 20, sockets: 10, uncores: 20, options: 15, spread: 15,
		closest: 20, cpuNone: 15, memNone: 20, pages: 25, tight: 20, devices: 40, odd: 20, init: 25, burst: 10, release: 48,
		steps: [2]int{30, 80}, policies: allPolicies},
	{name: "large", zones: []int{1, 2, 4, 8}, large: 100, options: 20, spread: 20, uncores: 50, closest: 30, memNone: 50, tight: 20,
		devices: 40, odd: 10, init: 15, burst: 10, release: 40, steps: [2]int{5, 25}, policies: allPolicies},
	{name: "empty-zones", zones: []int{13, 14, 18, 36, 64}, cpuless: 90, memless: 10, uneven: 25, sockets: 20, options: 10, spread: 20,
		closest: 30, memNone: 95, tight: 20, devices: 60, odd: 40, init: 20, burst: 20, release: 30, steps: [2]int{3, 10},
		policies: allPolicies},
	{name: "apart", zones: []int{1, 2, 3, 4}, cpuless: 30, memless: 20, uneven: 20, closest: 20, cpuNone: 30, memNone: 40, tight: 40,
		devices: 40, odd: 30, init: 10, burst: 20, release: 25, steps: [2]int{3, 10}, policies: allPolicies, apart: 100},
	{name: "start", zones: []int{1, 2, 4, 9}, holes: 20, cpuless: 20, memless: 20, uneven: 30, sockets: 40, uncores: 30, options: 30,
		spread: 30, closest: 30, cpuNone: 25, memNone: 40, pages: 30, tight: 30, devices: 20, odd: 20, init: 10, burst: 20,
		release: 20, steps: [2]int{1, 3}, policies: allPolicies, illegal: 70},
}

func shapeNames() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

func isShape(name string) bool {
	for _, s := range shapes {
		if name == "" || s.name == name {
			return true
		}
	}
	return false
}

// generator draws one case.
type generator struct {
	*rand.Rand
	shape
	node kubelet.Node
	cpus []int // all CPUs, ascending
	uids int
}

func (g *generator) percent(p int) bool        { return g.IntN(100) < p }
func (g *generator) between(low, high int) int { return low + g.IntN(high-low+1) }

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// randomCase returns case n of a seed, not judged yet. Shape "": they take turns.
func randomCase(seed uint64, n int, name string) *Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n)+1)), shape: shapes[n%len(shapes)]}
	for _, s := range shapes {
		if s.name == name {
			g.shape = s
		}
	}
	g.machine()
	g.plugins()
	g.configure()
	return &Case{Name: fmt.Sprintf("%s-%d-%d", g.name, seed, n), Node: g.node, Steps: g.walk()}
}

// walk draws the steps: pods that come, start and go.
func (g *generator) walk() []Step {
	var steps []Step
	var live []string
	for range g.between(g.steps[0], g.steps[1]) {
		if len(live) > 0 && g.percent(g.release) {
			i := g.IntN(len(live))
			if g.percent(40) {
				steps = append(steps, Step{Start: live[i]})
				continue
			}
			steps = append(steps, Step{Remove: live[i]})
			live = append(live[:i], live[i+1:]...)
			continue
		}
		pod := g.pod()
		steps = append(steps, Step{Admit: &pod})
		live = append(live, pod.UID)
	}
	return steps
}
