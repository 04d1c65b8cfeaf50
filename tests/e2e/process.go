// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process that the suite has started: leader of a process group of its own, and killed by the
// kernel when the suite dies.
type process struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// All processes ever started, so that whatever ends the suite can end them.
type processes struct {
	mu      sync.Mutex
	all     []*process
	closing bool
	spawn   chan func()
}

// newProcesses gives process creation a thread that lives as long as the suite: Pdeathsig is sent
// when the *thread* that forked ends, and Go ends threads at will.
func newProcesses() *processes {
	ps := &processes{spawn: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range ps.spawn {
			job()
		}
	}()
	return ps
}

func (ps *processes) start(name, logPath string, argv ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{name: name, logPath: logPath, ended: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout = log
	p.cmd.Stderr = log
	p.cmd.Env = withoutProxy(os.Environ())
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	result := make(chan error)
	ps.spawn <- func() { result <- ps.fork(p) }
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is read from ProcessState
		close(p.ended)
	}()
	return p, nil
}

func (ps *processes) fork(p *process) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closing {
		return errors.New("the suite is ending")
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ps.all = append(ps.all, p)
	return nil
}

// killAll ends every process group, and waits until they are gone.
func (ps *processes) killAll() {
	ps.mu.Lock()
	ps.closing = true
	all := ps.all
	ps.mu.Unlock()
	for _, p := range all {
		p.kill()
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the process and everything in its group at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody is left
	<-p.ended
}

// terminate asks politely and says how the process ended.
func (p *process) terminate(patience time.Duration) error {
	if !p.running() {
		return fmt.Errorf("%s had ended by itself: %v", p.name, p.cmd.ProcessState)
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.name, patience)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %v after SIGTERM", p.name, p.cmd.ProcessState)
	}
	return nil
}

// tail is the end of the process's log, for a failure's message.
func (p *process) tail(lines int) string {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return "    " + p.name + ": " + strings.ReplaceAll(string(bytes.Join(all, []byte("\n"))), "\n", "\n    "+p.name+": ")
}

// waitFor polls until `ready` says so; a process that ends meanwhile is an error at once.
func (p *process) waitFor(what string, patience time.Duration, ready func() bool) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ready() {
			return nil
		}
		if !p.running() {
			return fmt.Errorf("%s ended before %s (%v)\n%s", p.name, what, p.cmd.ProcessState, p.tail(15))
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: no %s within %v\n%s", p.name, what, patience, p.tail(15))
		}
	}
}

func withoutProxy(env []string) []string {
	var kept []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// writeFile replaces a file by rename: a reader sees the old one or the whole new one.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
