// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
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
	if err := s.nw.ask("/v1/decisions?pod="+pod.Namespace+"/"+pod.Name, &list); err != nil {
		return nil, err
	}
	for _, entry := range list.Decisions {
		if entry.UID == string(pod.UID) { // the suite's own questions have another one
			kept := &explanation{}
			return kept, s.nw.ask("/v1/decisions/"+entry.Decision, kept)
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

// record writes a bound pod into numawise's directory and waits until a snapshot has followed.
func (s *suite) record(pod *v1.Pod) error {
	const generation = "numawise_snapshots_total"
	before, err := s.nw.metric(generation)
	if err != nil {
		return err
	}
	if err := recordPod(s.cluster, pod); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if now, err := s.nw.metric(generation); err != nil || now > before {
			return err
		}
	}
	return errors.New("no new snapshot within 5 s of the pod's file")
}
