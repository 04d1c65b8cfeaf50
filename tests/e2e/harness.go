// SPDX-License-Identifier: Apache-2.0

package main

import (
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

// counts are the facts of a run.
type counts struct {
	passed, failed int
	quiet          bool // only failures are printed
}

// check counts one fact and prints it.
func (c *counts) check(fact string, err error) bool {
	if err == nil {
		c.passed++
		if !c.quiet {
			fmt.Printf("  ok    %s\n", fact)
		}
		return true
	}
	c.failed++
	fmt.Printf("  FAIL  %s\n        %s\n", fact, strings.ReplaceAll(err.Error(), "\n", "\n        "))
	return false
}

// sums prints the last line of a run and returns its exit status.
func (c *counts) sums() int {
	fmt.Printf("%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		return 1
	}
	return 0
}

// untilSignalled returns what ends all processes, does `last` and removes the directory, once; a
// signal does it too.
func untilSignalled(ps *processes, work string, last func()) func() {
	var once sync.Once
	end := func() {
		once.Do(func() {
			ps.killAll()
			last()
			_ = os.RemoveAll(work)
		})
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
	return end
}

// dieWithParent asks the kernel for SIGTERM when the script that started the suite is gone. The
// request belongs to a thread, so the main goroutine keeps its own.
func dieWithParent() {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0)
}

// keepLogs moves what the processes said to where a person can look after a failure.
func keepLogs(work, dir string) {
	_ = os.RemoveAll(dir)
	_ = os.MkdirAll(dir, 0o755)
	logs, _ := filepath.Glob(filepath.Join(work, "*.log"))
	for _, log := range logs {
		if text, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(log)), text, 0o644)
		}
	}
	fmt.Printf("\nlogs: %s\n", dir)
}

// eventually tries until it works, or returns the last error.
func eventually(patience time.Duration, try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
