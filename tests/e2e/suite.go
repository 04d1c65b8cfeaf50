// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
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
	tee     *tee
	world   *manifests
	sched   *process
	all     []string // names of all nodes

	placed         []*placement // so far
	tally          tally
	passed, failed int
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
	var once sync.Once
	end := func() {
		once.Do(func() {
			s.ps.killAll()
			if s.failed > 0 && *keep != "" {
				s.keepLogs(*keep)
			}
			_ = os.RemoveAll(*work)
		})
	}
	if *keep != "" {
		_ = os.RemoveAll(*keep) // of a run before
	}
	dieWithParent()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		got := <-signals
		end()
		fmt.Fprintf(os.Stderr, "e2e: ended by %v\n", got)
		os.Exit(130)
	}()

	s.run(self, *source)
	end()
	fmt.Printf("%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return 1
	}
	return 0
}

// dieWithParent asks the kernel for SIGTERM when the script that started the suite is gone. The
// request belongs to a thread, so the main goroutine keeps its own.
func dieWithParent() {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
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
		{"the end", s.playEnd},
	} {
		fmt.Printf("\n%s\n", scenario.title)
		scenario.play(ctx)
	}
	fmt.Printf("\nsuite: %.0f s\n", time.Since(began).Seconds())
}

// check counts one fact and prints it.
func (s *suite) check(fact string, err error) bool {
	if err == nil {
		s.passed++
		fmt.Printf("  ok    %s\n", fact)
		return true
	}
	s.failed++
	fmt.Printf("  FAIL  %s\n        %s\n", fact, strings.ReplaceAll(err.Error(), "\n", "\n        "))
	return false
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

// keepLogs moves what the processes said to where a person can look after a failure.
func (s *suite) keepLogs(dir string) {
	_ = os.RemoveAll(dir)
	_ = os.MkdirAll(dir, 0o755)
	logs, _ := filepath.Glob(filepath.Join(s.work, "*.log"))
	for _, log := range logs {
		if text, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(log)), text, 0o644)
		}
	}
	_ = os.CopyFS(filepath.Join(dir, "cluster"), os.DirFS(s.cluster))
	fmt.Printf("\nlogs and the cluster directory: %s\n", dir)
}
