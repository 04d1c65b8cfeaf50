// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"k8s.io/api/core/v1"
)

// A pod that was bound, and what explain had said of it before.
type placement struct {
	pod   *v1.Pod
	said  *explanation
	asked []string
}

// decisionOf is kube-scheduler's newest decision about a pod, as the console keeps it.
func (s *suite) decisionOf(pod *v1.Pod) (*explanation, error) {
	var list struct {
		Decisions []struct {
			Decision string `json:"decision"`
			UID      string `json:"uid"`
		} `json:"decisions"`
	}
	if err := s.console("/v1/decisions?pod="+pod.Namespace+"/"+pod.Name, &list); err != nil {
		return nil, err
	}
	for _, entry := range list.Decisions {
		if entry.UID == string(pod.UID) { // the suite's own questions have another one
			kept := &explanation{}
			return kept, s.console("/v1/decisions/"+entry.Decision, kept)
		}
	}
	return nil, fmt.Errorf("no decision about %s/%s with its uid", pod.Namespace, pod.Name)
}

// readBack holds what the console keeps against what explain had said.
func (s *suite) readBack(p *placement) error {
	kept, err := s.decisionOf(p.pod)
	if err != nil {
		return err
	}
	return p.sameAs(kept)
}

func (p *placement) sameAs(kept *explanation) error {
	for _, name := range p.asked {
		now, then := kept.node(name), p.said.node(name)
		if now == nil {
			return fmt.Errorf("%s: node %s is missing", p.pod.Name, name)
		}
		if now.Verdict != then.Verdict {
			return fmt.Errorf("%s: node %s was %s, and is read back as %s", p.pod.Name, name, then.Verdict, now.Verdict)
		}
	}
	now, then := kept.node(p.pod.Spec.NodeName), p.said.node(p.pod.Spec.NodeName)
	if len(p.said.passing(p.asked)) > 1 && now.WireScore != then.WireScore {
		return fmt.Errorf("%s: %s had wire score %d, read back as %d", p.pod.Name, now.Name, then.WireScore, now.WireScore)
	}
	return nil
}

// passing are those among `names` that explain would let through.
func (e *explanation) passing(names []string) []string {
	var passing []string
	for _, name := range names {
		if n := e.node(name); n != nil && n.passes() {
			passing = append(passing, name)
		}
	}
	return passing
}

func (s *suite) console(target string, out any) error {
	text, err := s.get(target)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (s *suite) get(target string) ([]byte, error) {
	reply, err := asker.Get(s.nw.console.String() + target)
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
func (s *suite) metric(name string) (float64, error) {
	text, err := s.get("/metrics")
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
func (s *suite) onlyOK() error {
	for _, labels := range []string{`verb="filter",code="400"`, `verb="filter",code="503"`,
		`verb="prioritize",code="400"`, `verb="prioritize",code="503"`} {
		name := "numawise_extender_requests_total{" + labels + "}"
		if n, err := s.metric(name); err != nil || n != 0 {
			return errors.Join(err, fmt.Errorf("%s = %v", name, n))
		}
	}
	return nil
}

// record writes a bound pod into numawise's directory and waits until a snapshot has followed.
func (s *suite) record(pod *v1.Pod) error {
	const generation = "numawise_snapshots_total"
	before, err := s.metric(generation)
	if err != nil {
		return err
	}
	if err := recordPod(s.cluster, pod); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if now, err := s.metric(generation); err != nil || now > before {
			return err
		}
	}
	return errors.New("no new snapshot within 5 s of the pod's file")
}
