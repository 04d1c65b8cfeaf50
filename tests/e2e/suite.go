// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The state that the scenarios share: one control plane, one numawise, one cluster in two worlds
// (the API server's objects and numawise's directory).
type suite struct {
	binary  string // numawise
	work    string // everything the run writes
	cluster string // numawise's directory
	data    string // recorded requests
	ps      *processes
	cp      *controlPlane
	nw      *numawise
	sparse  bool // with extender.sparseScores
	tee     *tee
	world   *manifests
	sched   *process
	all     []string // names of all nodes

	placed []*placement // so far
	tally  tally
	counts
}

func suiteMain(args []string) int {
	flags := flag.NewFlagSet("suite", flag.ExitOnError)
	binary := flags.String("numawise", "", "the numawise program")
	source := flags.String("source", "", "the top of numawise's source tree")
	work := flags.String("work", "", "an empty directory to work in; removed at the end")
	keep := flags.String("keep-logs", "", "where the logs of a failed run are kept")
	_ = flags.Parse(args)
	if *binary == "" || *source == "" || *work == "" {
		fmt.Fprint(os.Stderr, usageText)
		return 2
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}

	s := &suite{binary: *binary, work: *work, ps: newProcesses(),
		cluster: filepath.Join(*work, "cluster"),
		data:    filepath.Join(*source, "tests", "data", "scheduler-requests")}
	if *keep != "" {
		_ = os.RemoveAll(*keep) // of a run before
	}
	end := untilSignalled(s.ps, *work, func() {
		if s.failed > 0 && *keep != "" {
			keepLogs(s.work, *keep)
			_ = os.CopyFS(filepath.Join(*keep, "cluster"), os.DirFS(s.cluster))
		}
	})
	s.run(self, *source)
	end()
	return s.sums()
}

// run plays the scenarios in order; one that cannot go on ends only itself where that is possible.
func (s *suite) run(self, source string) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	began := time.Now()
	if err := s.setUp(ctx, self, source); err != nil {
		s.check("the control plane and numawise start", err)
		return
	}
	s.check(fmt.Sprintf("etcd, kube-apiserver and numawise are up with %d nodes after %.1f s",
		len(s.all), time.Since(began).Seconds()), nil)
	for _, scenario := range []struct {
		title string
		play  func(context.Context)
	}{
		{"kube-scheduler's own HTTP client, called directly", s.playClient},
		{"kube-scheduler with NodeNames (nodeCacheCapable: true)", s.playTenPods},
		{"a pod that no kubelet would admit", s.playPending},
		{"numawise dies and comes back (ignorable: false)", s.playRestart},
		{"kube-scheduler with whole Nodes (nodeCacheCapable: false)", s.playNodesMode},
		{"kube-scheduler with nothing in between", s.playDirect},
		{"control: the same pod, and a kube-scheduler without numawise", s.playControl},
		{"our CustomResourceDefinitions in the API server", s.playDefinitions},
		{"who may use a LockPolicy", s.playLockUse},
		{"the admission webhook", s.playAdmission},
		{"the end", s.playEnd},
	} {
		fmt.Printf("\n%s\n", scenario.title)
		scenario.play(ctx)
	}
	fmt.Printf("\nsuite: %.0f s\n", time.Since(began).Seconds())
}

func (s *suite) setUp(ctx context.Context, self, source string) error {
	examples := filepath.Join(source, "deploy", "examples")
	if err := os.CopyFS(s.cluster, os.DirFS(filepath.Join(examples, "cluster"))); err != nil {
		return err
	}
	var err error
	if s.world, err = loadManifests(s.cluster); err != nil {
		return err
	}
	workloads, err := loadManifests(filepath.Join(examples, "workloads"))
	if err != nil {
		return err
	}
	s.world.templates = workloads.templates
	largestFirst(s.world.templates)
	for key := range workloads.accounts {
		namespace, name, _ := strings.Cut(key, "/")
		s.world.addAccount(namespace, name)
	}
	for _, node := range s.world.nodes {
		s.all = append(s.all, node.Name)
	}
	if len(s.all) == 0 || len(s.world.templates) == 0 {
		return errors.New("the example cluster has no nodes, or there is no workload")
	}
	if s.nw, err = s.ps.startNumawise(s.binary, s.work, s.cluster); err != nil {
		return err
	}
	if s.cp, err = startControlPlane(s.ps, self, s.work); err != nil {
		return err
	}
	if s.tee, err = newTee(s.nw); err != nil {
		return err
	}
	return s.world.create(ctx, s.cp)
}
