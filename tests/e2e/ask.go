// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sort"
	"strings"
	"time"

	"k8s.io/api/core/v1"
	extender "k8s.io/kube-scheduler/extender/v1"
)

var asker = &http.Client{Timeout: 5 * time.Second}

// ask sends a call of our own to the running numawise, past the tee.
func (s *suite) ask(verb string, pod *v1.Pod, names []string, out any) error {
	body, err := json.Marshal(extender.ExtenderArgs{Pod: pod, NodeNames: &names})
	if err != nil {
		return err
	}
	reply, err := asker.Post(s.nw.extender.String()+"/"+verb, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", verb, reply.Status)
	}
	return json.NewDecoder(reply.Body).Decode(out)
}

// differs says how the server's own answer for a pod differs from what explain said; nil: not.
func (s *suite) differs(pod *v1.Pod, said *explanation) error {
	var filter extender.ExtenderFilterResult
	if err := s.ask("filter", pod, s.all, &filter); err != nil {
		return err
	}
	if err := sameFilter(said, s.all, &filter, derefNames(filter.NodeNames)); err != nil {
		return err
	}
	passed := derefNames(filter.NodeNames)
	if len(passed) < 2 {
		return nil // kube-scheduler would not call prioritize either
	}
	var scores extender.HostPriorityList
	if err := s.ask("prioritize", pod, passed, &scores); err != nil {
		return err
	}
	if s.sparse {
		scores = whole(said, passed, scores)
	}
	return sameScores(said, passed, scores)
}

// whole makes of sparse scores, which leave out the nodes that have the lowest and say of the others
// how much they are above it, those of all nodes.
func whole(said *explanation, asked []string, sparse extender.HostPriorityList) extender.HostPriorityList {
	above := map[string]int64{}
	var all extender.HostPriorityList
	for _, score := range sparse {
		above[score.Host] = score.Score
		if !contains(asked, score.Host) {
			all = append(all, score) // too many then
		}
	}
	lowest := int64(math.MaxInt64)
	for _, name := range asked {
		if n := said.node(name); n != nil {
			lowest = min(lowest, n.WireScore)
		}
	}
	for _, name := range asked {
		all = append(all, extender.HostPriority{Host: name, Score: lowest + above[name]})
	}
	return all
}

// agree waits until the running server has taken in the directory that explain has just read.
func (s *suite) agree(pod *v1.Pod, said *explanation) error {
	var err error
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = s.differs(pod, said); err == nil {
			return nil
		}
	}
	return fmt.Errorf("after 12 s the server still answers otherwise than explain: %w", err)
}

// sameFilter: every asked node is either passed or refused with the fixed text, as explain said.
func sameFilter(said *explanation, asked []string, reply *extender.ExtenderFilterResult, passed []string) error {
	if reply.Error != "" {
		return fmt.Errorf("filter's Error: %s", reply.Error)
	}
	if len(passed)+len(reply.FailedNodes)+len(reply.FailedAndUnresolvableNodes) != len(asked) {
		return fmt.Errorf("filter was asked about %d nodes, passed %d, failed %d + %d", len(asked),
			len(passed), len(reply.FailedNodes), len(reply.FailedAndUnresolvableNodes))
	}
	for _, name := range asked {
		n := said.node(name)
		if n == nil {
			return fmt.Errorf("explain does not mention node %s", name)
		}
		if n.passes() != contains(passed, name) {
			return fmt.Errorf("node %s: explain says %s %s, filter passed it: %t", name, n.Verdict,
				n.Reason, contains(passed, name))
		}
		if reason := reply.FailedAndUnresolvableNodes[name]; !n.passes() && reason != "numawise: "+n.Reason {
			return fmt.Errorf("node %s: explain says %s, filter gave the reason %q", name, n.Reason, reason)
		}
	}
	return nil
}

// sameScores: each node once, with explain's wire score.
func sameScores(said *explanation, asked []string, scores extender.HostPriorityList) error {
	if len(scores) != len(asked) {
		return fmt.Errorf("prioritize was asked about %d nodes and scored %d", len(asked), len(scores))
	}
	seen := map[string]bool{}
	for _, score := range scores {
		n := said.node(score.Host)
		if n == nil || seen[score.Host] || !contains(asked, score.Host) {
			return fmt.Errorf("prioritize scored %q, which is unknown, not asked for, or there twice", score.Host)
		}
		seen[score.Host] = true
		if score.Score != n.WireScore {
			return fmt.Errorf("node %s: explain says wire score %d, prioritize %d", score.Host, n.WireScore, score.Score)
		}
	}
	return nil
}

// callsFor are kube-scheduler's calls about one pod, oldest first.
func (s *suite) callsFor(pod *v1.Pod, verb string) ([]exchange, error) {
	all, err := s.tee.exchanges()
	if err != nil {
		return nil, err
	}
	var found []exchange
	for _, e := range all {
		if e.verb == verb && e.pod == pod.Namespace+"/"+pod.Name {
			found = append(found, e)
		}
	}
	return found, nil
}

func derefNames(names *[]string) []string {
	if names == nil {
		return nil
	}
	return *names
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// summary is what explain said about some nodes, in few words: the highest scores first.
func (e *explanation) summary(asked []string) string {
	var passing []*explainedNode
	refused := 0
	for _, name := range asked {
		if n := e.node(name); n != nil && n.passes() {
			passing = append(passing, n)
		} else {
			refused++
		}
	}
	sort.SliceStable(passing, func(i, j int) bool { return passing[i].WireScore > passing[j].WireScore })
	var parts []string
	for _, n := range passing {
		parts = append(parts, fmt.Sprintf("%s=%d", n.Name, n.WireScore))
	}
	if refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", refused))
	}
	return strings.Join(parts, " ")
}

// A tally of the decisions seen, to show that they were not all alike.
type tally struct {
	decisions int
	refusing  int // numawise refused at least one node that kube-scheduler would have taken
	choosing  int // at least two nodes were left, with different wire scores
}

func (t *tally) add(said *explanation, asked []string) {
	refused, lowest, highest := 0, int64(-1), int64(-1)
	for _, name := range asked {
		n := said.node(name)
		if n == nil || !n.passes() {
			refused++
			continue
		}
		if lowest < 0 || n.WireScore < lowest {
			lowest = n.WireScore
		}
		highest = max(highest, n.WireScore)
	}
	t.decisions++
	if refused > 0 {
		t.refusing++
	}
	if lowest < highest {
		t.choosing++
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("of %d, %d with a node refused, %d between different scores", t.decisions,
		t.refusing, t.choosing)
}

func (t *tally) complaint() error {
	if t.refusing == 0 || t.choosing == 0 {
		return errors.New("a numawise that says nothing would have passed as well")
	}
	return nil
}
