// SPDX-License-Identifier: Apache-2.0

// The kubelet's own resource managers as an oracle: they judge admissions on described machines,
// in the form of tests/data/kubelet-vectors.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"numawise.dev/tests/kubelet"
)

const usage = `usage: oracle solve [FILE]               judge the cases of a file again (default: standard input)
       oracle same FILE                  judge them again; exit 1 unless the file says the same, byte for byte but
                                         for what is unspecified in either
       oracle random --seed N --cases N [--seconds N] [--shape NAME]
                                         judge random cases, as many as the time allows; the same seed gives
                                         the same ones
       oracle shapes                     the names of what random cases are made of
Cases go to standard output, one a line.
`

func main() {
	klog.SetLogger(logr.Discard())
	if err := kubelet.EnableAlphaOptions(); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
	os.Exit(run1(os.Args[1:]))
}

func run1(args []string) int {
	if len(args) == 0 {
		args = []string{"help"}
	}
	command, args := args[0], args[1:]
	switch {
	case command == "worker":
		work(os.Stdin, os.Stdout)
		return 0
	case command == "solve" && len(args) <= 1:
		return solveFile(args, false)
	case command == "same" && len(args) == 1:
		return solveFile(args, true)
	case command == "random":
		return randomCases(args)
	case command == "shapes":
		fmt.Println(strings.Join(shapeNames(), "\n"))
		return 0
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}

func solveFile(args []string, compare bool) int {
	in := io.Reader(os.Stdin)
	if len(args) == 1 {
		file, err := os.Open(args[0])
		if err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			return 1
		}
		defer file.Close()
		in = file
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	total, differ := 0, 0
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	err := solveAll(func() []byte {
		if !lines.Scan() {
			return nil
		}
		return append(append([]byte{}, lines.Bytes()...), '\n')
	}, func(asked, answer []byte) {
		total++
		if !compare {
			_, _ = out.Write(answer)
		} else if asked, answer = comparable(asked, answer); string(asked) != string(answer) {
			differ++
			fmt.Fprintf(out, "recorded: %sjudged:   %s", asked, answer)
		}
	})
	if err == nil {
		err = lines.Err()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		return 1
	}
	if compare {
		fmt.Fprintf(out, "%d cases, %d differ\n", total, differ)
	}
	if differ > 0 {
		return 1
	}
	return 0
}

func randomCases(args []string) int {
	flags := flag.NewFlagSet("random", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "")
	cases := flags.Int("cases", 100, "")
	seconds := flags.Int("seconds", 0, "")
	shape := flags.String("shape", "", "")
	if flags.Parse(args) != nil || flags.NArg() > 0 || !isShape(*shape) {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	end := time.Now().Add(time.Duration(*seconds) * time.Second)
	next := 0
	err := solveAll(func() []byte {
		if next == *cases || (*seconds > 0 && time.Now().After(end)) {
			return nil
		}
		c := randomCase(*seed, next, *shape)
		next++
		return c.line()
	}, func(_, answer []byte) {
		_, _ = out.Write(answer)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		return 1
	}
	return 0
}

// workers is how many processes solve cases at a time.
func workers() int {
	return min(runtime.NumCPU(), 8)
}
