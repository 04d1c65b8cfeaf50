// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// A worker solves the cases it reads and answers each with one line. It ends after a case that
// never returned, for its threads still turn in circles.
func work(in io.Reader, out io.Writer) {
	runtime.GOMAXPROCS(2) // the case, and the clock that ends it
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
		alive := solve(&c)
		if _, err := out.Write(c.line()); err != nil || !alive {
			return
		}
	}
}

// process is a worker seen from outside.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func startWorker() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(self, "worker")}
	p.command.Stderr = os.Stderr
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<20)
	return p, p.command.Start()
}

func (p *process) stop() {
	_ = p.in.Close()
	_ = p.command.Wait()
}

// ask returns the answer to a case, and whether the worker lives on. What it does not take any
// more it never saw: a new one is asked.
func (p *process) ask(line []byte) ([]byte, error) {
	if _, err := p.in.Write(line); err != nil {
		return nil, err
	}
	return p.out.ReadBytes('\n')
}

type job struct {
	asked  []byte
	answer chan []byte
}

// solveAll hands the lines that next returns, until it returns nil, to workers, and their answers
// to each, in the same order.
func solveAll(next func() []byte, each func(asked, answer []byte)) error {
	jobs := make(chan job)
	order := make(chan job, 4*workers())
	failed := make(chan error, workers())
	var group sync.WaitGroup
	for range workers() {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := serve(jobs); err != nil {
				failed <- err
			}
		}()
	}
	go func() {
		for line := next(); line != nil; line = next() {
			j := job{line, make(chan []byte, 1)}
			order <- j
			jobs <- j
		}
		close(jobs)
		close(order)
	}()
	for j := range order {
		select {
		case answer := <-j.answer:
			each(j.asked, answer)
		case err := <-failed:
			return err
		}
	}
	group.Wait()
	return nil
}

// serve answers jobs with a worker, and with another one when that is used up.
func serve(jobs <-chan job) error {
	p, err := startWorker()
	if err != nil {
		return err
	}
	for j := range jobs {
		answer, err := p.ask(j.asked)
		if err != nil {
			p.stop()
			if p, err = startWorker(); err != nil {
				return err
			}
			if answer, err = p.ask(j.asked); err != nil {
				return fmt.Errorf("a worker died of %s", j.asked)
			}
		}
		j.answer <- answer
	}
	p.stop()
	return nil
}
