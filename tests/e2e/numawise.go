// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"time"

	"k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// A running `numawise serve` over a directory of manifests.
type numawise struct {
	*process
	extender *url.URL // the prefix of the verbs
	console  *url.URL
}

// The parts of `numawise explain -o json` that the suite reads.
type explanation struct {
	Pod      string          `json:"pod"`
	Snapshot uint64          `json:"snapshot"`
	Best     *string         `json:"best"`
	Nodes    []explainedNode `json:"nodes"`
}

type explainedNode struct {
	Name      string `json:"name"`
	Verdict   string `json:"verdict"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
	Certainty string `json:"certainty"`
	Score     int64  `json:"score"`
	WireScore int64  `json:"wireScore"`
}

// startNumawise serves a directory; `more` are further arguments.
func (ps *processes) startNumawise(binary, work, cluster string, more ...string) (*numawise, error) {
	return ps.serve(binary, work, "127.0.0.1:0", append([]string{"--cluster", cluster}, more...)...)
}

// serve starts `numawise serve` with the extender at an address; the arguments say over what.
func (ps *processes) serve(binary, work, address string, more ...string) (*numawise, error) {
	addressesFile := filepath.Join(work, "addresses.json")
	_ = os.Remove(addressesFile) // of the one before
	p, err := ps.start("numawise", filepath.Join(work, "numawise.log"), append([]string{binary, "serve",
		"--listen", "extender=" + address, "--listen", "operator=off",
		"--listen", "console=127.0.0.1:0", "--addresses-file", addressesFile}, more...)...)
	if err != nil {
		return nil, err
	}
	var addresses struct{ Extender, Console string }
	err = p.waitFor("addresses file", 10*time.Second, func() bool {
		text, err := os.ReadFile(addressesFile)
		return err == nil && json.Unmarshal(text, &addresses) == nil
	})
	if err != nil {
		return nil, err
	}
	nw := &numawise{process: p}
	if nw.extender, err = url.Parse(addresses.Extender); err != nil {
		return nil, err
	}
	nw.console, err = url.Parse(addresses.Console)
	return nw, err
}

// explain asks the command line what would become of a pod in a cluster directory.
func explain(binary, work, cluster string, pod *v1.Pod) (*explanation, error) {
	text, err := yaml.Marshal(pod)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "pod.yaml")
	if err := writeFile(file, text); err != nil {
		return nil, err
	}
	var out, complaint bytes.Buffer
	cmd := exec.Command(binary, "explain", "-f", file, "--cluster", cluster, "-o", "json")
	cmd.Stdout = &out
	cmd.Stderr = &complaint
	// Exit 1 is the answer "no node admits it".
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return nil, fmt.Errorf("numawise explain: %w\n%s", err, complaint.String())
	}
	var said explanation
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		return nil, fmt.Errorf("what numawise explain printed: %w\n%s", err, out.String())
	}
	return &said, nil
}

func (n *explainedNode) passes() bool {
	return n.Verdict != "Rejected"
}

func (e *explanation) node(name string) *explainedNode {
	for i := range e.Nodes {
		if e.Nodes[i].Name == name {
			return &e.Nodes[i]
		}
	}
	return nil
}

// best are the names of those among `names` that pass with the highest wire score; sorted.
func (e *explanation) best(names []string) []string {
	var best []string
	top := int64(-1)
	for _, name := range names {
		n := e.node(name)
		if n == nil || !n.passes() || n.WireScore < top {
			continue
		}
		if n.WireScore > top {
			best, top = nil, n.WireScore
		}
		best = append(best, name)
	}
	sort.Strings(best)
	return best
}

// ask reads a JSON document of the console.
func (nw *numawise) ask(target string, out any) error {
	text, err := get(nw.console, target)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func get(at *url.URL, target string) ([]byte, error) {
	reply, err := asker.Get(at.Scheme + "://" + at.Host + target)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", target, reply.Status)
	}
	return io.ReadAll(reply.Body)
}

// metric reads one sample of /metrics; `name` is written with its labels.
func (nw *numawise) metric(name string) (float64, error) {
	text, err := get(nw.console, "/metrics")
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("/metrics has no %s", name)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// onlyOK: numawise itself counts no answer but 200.
func (nw *numawise) onlyOK() error {
	for _, labels := range []string{`verb="filter",code="400"`, `verb="filter",code="503"`,
		`verb="prioritize",code="400"`, `verb="prioritize",code="503"`} {
		name := "numawise_extender_requests_total{" + labels + "}"
		if n, err := nw.metric(name); err != nil || n != 0 {
			return errors.Join(err, fmt.Errorf("%s = %v", name, n))
		}
	}
	return nil
}
