// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/api/core/v1"
)

// How fast kube-scheduler is with no extender, with one that does the least an extender can do, and
// with numawise. The same pods again and again, one way after the other in each round, so that what
// the machine does meanwhile meets all ways alike. Nothing is asserted of the speed: what can fail
// is that a pod is not bound at the first attempt, that a call fails, or that nobody was asked.
type throughput struct {
	self, binary, bench, work string

	pods, warmUp, rounds, zones int
	counts

	ps     *processes
	cp     *controlPlane
	nodes  int
	shapes []*v1.Pod // of all pods
	plain  []*v1.Pod // those that want no device
}

// One way to run kube-scheduler.
type way struct {
	name       string
	floor      bool // the floor extender instead of numawise
	numawise   bool
	shortlist  int      // of numawise; of the floor: how many names it hands back
	sparse     bool     // numawise with extender.sparseScores
	managed    []string // resources; others are kept off the extender
	plain      bool     // pods that want no device
	against    string   // the floor of this way
	percentage int      // percentageOfNodesToScore; 0 = the default
}

const gpu = "nvidia.com/gpu"

// A scene is what one table shows.
type scene struct {
	title string
	nodes int
	ways  []way
}

func scenes(sizes []int, everyNode bool) []scene {
	var all []scene
	for _, nodes := range sizes {
		all = append(all, scene{fmt.Sprintf("%d nodes, kube-scheduler's own sample of them", nodes), nodes, waysOver(0)})
		all = append(all, scene{fmt.Sprintf("%d nodes, pods without devices, managedResources: [%s]", nodes, gpu), nodes,
			[]way{{name: "no extender", plain: true},
				{name: "numawise, off the path", numawise: true, managed: []string{gpu}, plain: true}}})
		if everyNode && nodes >= 1000 {
			all = append(all, scene{fmt.Sprintf("%d nodes, percentageOfNodesToScore: 100", nodes), nodes, waysOver(100)})
		}
	}
	return all
}

func waysOver(percentage int) []way {
	return []way{
		{name: "no extender", percentage: percentage},
		{name: "floor", floor: true, percentage: percentage},
		{name: "numawise", numawise: true, against: "floor", percentage: percentage},
		{name: "numawise, sparseScores", numawise: true, sparse: true, against: "floor", percentage: percentage},
		{name: "floor, the first 8", floor: true, shortlist: 8, percentage: percentage},
		{name: "numawise, shortlist: 8", numawise: true, shortlist: 8, against: "floor, the first 8",
			percentage: percentage},
	}
}

// onlyWays leaves out scenes that have none of the ways named; nothing where names is empty.
func onlyWays(all []scene, names string) []scene {
	if names == "" {
		return all
	}
	var some []scene
	for _, s := range all {
		s.ways = slices.DeleteFunc(slices.Clone(s.ways), func(w way) bool {
			return !slices.Contains(strings.Split(names, ";"), w.name)
		})
		if len(s.ways) > 0 {
			some = append(some, s)
		}
	}
	return some
}

func throughputMain(args []string) int {
	t := &throughput{counts: counts{quiet: true}}
	flags := flag.NewFlagSet("throughput", flag.ExitOnError)
	flags.StringVar(&t.binary, "numawise", "", "the numawise program")
	flags.StringVar(&t.bench, "bench", "", "the directory of the programs floor and synth")
	flags.StringVar(&t.work, "work", "", "an empty directory to work in; removed at the end")
	flags.IntVar(&t.pods, "pods", 1000, "pods that are timed")
	flags.IntVar(&t.warmUp, "warm-up", 100, "pods before them")
	flags.IntVar(&t.rounds, "rounds", 3, "rounds")
	flags.IntVar(&t.zones, "zones", 4, "zones of a node")
	sizes := flags.String("nodes", "500,5000", "cluster sizes")
	only := flags.String("only", "", "only scenes whose title has this text")
	ways := flags.String("ways", "", "only these ways of a scene, by name, separated by semicolons")
	small := flags.Bool("small", false, "few pods and nodes, once: that it works")
	_ = flags.Parse(args)
	var err error
	if t.self, err = os.Executable(); err != nil || t.binary == "" || t.bench == "" || t.work == "" ||
		t.pods < 2 || t.warmUp < 1 || t.rounds < 1 {
		fmt.Fprint(os.Stderr, usageText)
		return 2
	}
	if *small {
		t.pods, t.warmUp, t.rounds, *sizes = 200, 50, 1, "200"
	}
	var numbers []int
	for _, text := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 20000 {
			fmt.Fprintln(os.Stderr, "e2e: --nodes takes numbers from 1 to 20000")
			return 2
		}
		numbers = append(numbers, n)
	}
	t.ps = newProcesses()
	end := untilSignalled(t.ps, t.work, func() {})
	t.play(onlyWays(scenes(numbers, !*small), *ways), *only)
	end()
	return t.sums()
}

// play needs an API server for each size of cluster.
func (t *throughput) play(all []scene, only string) {
	ctx := context.Background()
	var err error
	if t.shapes, t.plain, err = podShapes(filepath.Join(t.bench, "synth")); !t.check("pods are made", err) {
		return
	}
	for _, s := range all {
		if !strings.Contains(s.title, only) {
			continue
		}
		if t.nodes != s.nodes && !t.check(fmt.Sprintf("an API server with %d nodes", s.nodes), t.setUp(ctx, s.nodes)) {
			return
		}
		t.playScene(ctx, s)
	}
}

func (t *throughput) setUp(ctx context.Context, nodes int) error {
	if t.cp != nil {
		t.cp.apiserver.kill()
		t.cp.etcd.kill()
	}
	t.nodes = nodes
	work := filepath.Join(t.work, strconv.Itoa(nodes))
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	began := time.Now()
	var err error
	if t.cp, err = startControlPlane(t.ps, t.self, work); err != nil {
		return err
	}
	if err := t.makeCluster(); err != nil {
		return err
	}
	world, err := loadManifests(t.clusterDir())
	if err != nil {
		return err
	}
	world.addAccount(t.shapes[0].Namespace, "")
	if err := world.create(ctx, t.cp); err != nil {
		return err
	}
	fmt.Printf("etcd and kube-apiserver are up with %d nodes of %d zones after %.0f s\n", len(world.nodes), t.zones,
		time.Since(began).Seconds())
	return nil
}

// playScene plays every way once in each round. The first of a round is another one each time.
func (t *throughput) playScene(ctx context.Context, s scene) {
	fmt.Printf("\n%s: %d pods after %d, %d rounds\n", s.title, t.pods, t.warmUp, t.rounds)
	results := newResults(s)
	for round := 0; round < t.rounds; round++ {
		for i := range s.ways {
			w := s.ways[(round+i)%len(s.ways)]
			trial, err := t.try(ctx, w)
			if !t.check(fmt.Sprintf("%s: every pod is bound at the first attempt", w.name), err) {
				return
			}
			fmt.Printf("        round %d, %-24s %7.1f pods/s\n", round+1, w.name, trial.podsPerSecond())
			results.add(round, w.name, trial)
		}
	}
	results.print()
}
