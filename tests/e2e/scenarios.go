// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// How long kube-scheduler may take for a pod: its longest backoff is 10 s.
const patience = 20 * time.Second

// playTenPods: pod after pod, kube-scheduler binds where explain has said.
func (s *suite) playTenPods(ctx context.Context) {
	var err error
	if s.sched, err = s.cp.startScheduler(observable("kube-scheduler names", s.tee.url(s.nw), true)); err != nil {
		s.check("kube-scheduler starts", err)
		return
	}
	s.playPods(ctx, 10, "n")
	s.check("the ten were real choices: "+s.tally.String(), s.tally.complaint())
	calls, err := s.tee.exchanges()
	if err == nil && (s.tee.connections() != 1 || len(calls) < 10) {
		err = fmt.Errorf("%d calls over %d connections", len(calls), s.tee.connections())
	}
	s.check(fmt.Sprintf("one kept-alive connection carried all %d calls", len(calls)), err)
	s.check("kube-scheduler never said that a prioritize failed", s.prioritizeFailures(s.sched))
	s.check("numawise has counted no answer but 200", s.nw.onlyOK())
	err = nil
	for _, p := range s.placed {
		err = errors.Join(err, s.readBack(p))
	}
	s.check("the console reads each of these decisions back", err)
}

// playPods goes round the workloads until `count` pods are bound.
func (s *suite) playPods(ctx context.Context, count int, suffix string) {
	fmt.Printf("        %-22s %-16s %s\n", "pod", "bound to", "numawise explain said (wire scores)")
	bound := 0
	for round := 0; round < count && bound < count; round++ {
		before := bound
		for _, template := range s.world.templates {
			if bound == count {
				break
			}
			pod := instance(template, fmt.Sprintf("%s%d", suffix, round))
			said, err := s.fits(pod)
			if err == nil && said == nil {
				continue // no room; playPending shows what happens to a pod that numawise holds back
			}
			row := ""
			if err == nil {
				row, err = s.place(ctx, pod, said)
			}
			if !s.check(fmt.Sprintf("%-22s %s", pod.Name, row), err) {
				_ = s.remove(ctx, pod) // or it disturbs what comes later
				return
			}
			bound++
		}
		if bound == before {
			break
		}
	}
	var err error
	if bound < count {
		err = fmt.Errorf("%d of %d: no workload fits any more", bound, count)
	}
	s.check(fmt.Sprintf("%d pods are bound where explain said", count), err)
}

// instance is one pod of a workload.
func instance(template *v1.Pod, suffix string) *v1.Pod {
	pod := acceptable(template)
	pod.Name = template.Name + "-" + suffix
	return pod
}

// place creates a pod, waits until it is bound, and holds that against what explain had said.
// Returns the transcript's row.
func (s *suite) place(ctx context.Context, pod *v1.Pod, said *explanation) (string, error) {
	if err := s.agree(unborn(pod), said); err != nil {
		return "", err
	}
	if err := s.create(ctx, pod); err != nil {
		return "", err
	}
	return s.confirm(ctx, pod, said)
}

func (s *suite) create(ctx context.Context, pod *v1.Pod) error {
	_, err := s.cp.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

// confirm waits until a pod is bound where explain said, and writes it to numawise's directory.
func (s *suite) confirm(ctx context.Context, pod *v1.Pod, said *explanation) (string, error) {
	bound, err := s.waitBound(ctx, pod)
	if err != nil {
		return "", err
	}
	asked, err := s.compareCalls(pod, said)
	row := fmt.Sprintf("%-16s %s", bound.Spec.NodeName, said.summary(asked))
	s.tally.add(said, asked)
	if err != nil {
		return row, err
	}
	if best := said.best(asked); !contains(best, bound.Spec.NodeName) {
		return row, fmt.Errorf("bound to %s; explain's best of the nodes asked about: %v",
			bound.Spec.NodeName, best)
	}
	s.placed = append(s.placed, &placement{bound, said, asked})
	return row, s.record(bound)
}

// unborn is the pod without a UID: numawise does not take it to be on its way anywhere.
func unborn(pod *v1.Pod) *v1.Pod {
	copied := pod.DeepCopy()
	copied.UID = ""
	return copied
}

// compareCalls holds the last calls about the pod against explain; returns the nodes asked about.
func (s *suite) compareCalls(pod *v1.Pod, said *explanation) ([]string, error) {
	filters, err := s.callsFor(pod, "filter")
	if err != nil {
		return nil, err
	}
	if len(filters) == 0 {
		return nil, errors.New("kube-scheduler never called filter for it")
	}
	filter := &filters[len(filters)-1]
	asked, passed := filter.askedNodes(), filter.passedNodes()
	if err := sameFilter(said, asked, &filter.filter, passed); err != nil {
		return asked, err
	}
	scores, err := s.callsFor(pod, "prioritize")
	if err != nil || len(passed) < 2 {
		return asked, err
	}
	if len(scores) == 0 {
		return asked, errors.New("kube-scheduler never called prioritize for it")
	}
	last := &scores[len(scores)-1]
	return asked, sameScores(said, last.askedNodes(), last.scores)
}

func (s *suite) waitBound(ctx context.Context, pod *v1.Pod) (*v1.Pod, error) {
	var seen *v1.Pod
	err := s.poll(ctx, patience, func() (bool, error) {
		var err error
		seen, err = s.cp.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && seen.Spec.NodeName != "" && scheduled(seen).Status == v1.ConditionTrue, err
	})
	if err == nil {
		return seen, nil
	}
	why := ""
	if seen != nil {
		why = scheduled(seen).Message
	}
	return nil, fmt.Errorf("not bound: %w; PodScheduled says %q", err, why)
}

// poll repeats `done` until it is true, fails, or time is up; a dead server ends it at once.
func (s *suite) poll(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	for end := time.Now().Add(limit); ; {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if s.sched != nil && !s.sched.running() {
			return fmt.Errorf("%s has ended\n%s", s.sched.name, s.sched.tail(15))
		}
		if time.Now().After(end) {
			return fmt.Errorf("%v have passed", limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func scheduled(pod *v1.Pod) v1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled {
			return c
		}
	}
	return v1.PodCondition{}
}

// waitCondition waits until PodScheduled is False with this text in it.
func (s *suite) waitCondition(ctx context.Context, pod *v1.Pod, text string) error {
	last := v1.PodCondition{}
	err := s.poll(ctx, patience, func() (bool, error) {
		seen, err := s.cp.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if seen.Spec.NodeName != "" {
			return false, fmt.Errorf("it was bound to %s", seen.Spec.NodeName)
		}
		last = scheduled(seen)
		return last.Status == v1.ConditionFalse && strings.Contains(last.Message, text), nil
	})
	if err != nil {
		return fmt.Errorf("%w; PodScheduled: %s %s %q", err, last.Status, last.Reason, last.Message)
	}
	fmt.Printf("        PodScheduled=False: %s\n", last.Message)
	return nil
}

// waitEvent waits for a FailedScheduling event about the pod with this text in it.
func (s *suite) waitEvent(ctx context.Context, pod *v1.Pod, text string) error {
	return s.poll(ctx, patience, func() (bool, error) {
		events, err := s.cp.client.EventsV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, e := range events.Items {
			if e.Regarding.Name == pod.Name && e.Reason == "FailedScheduling" && strings.Contains(e.Note, text) {
				fmt.Printf("        event FailedScheduling: %s\n", e.Note)
				return true, nil
			}
		}
		return false, nil
	})
}

func (s *suite) waitCalls(ctx context.Context, pod *v1.Pod, verb string, more int) error {
	return s.poll(ctx, patience, func() (bool, error) {
		calls, err := s.callsFor(pod, verb)
		return len(calls) > more, err
	})
}

// touch changes an annotation of a node: an event upon which kube-scheduler tries again.
func (s *suite) touch(ctx context.Context, node string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"e2e/touched":"%s"}}}`, uuid.NewUUID())
	_, err := s.cp.client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (s *suite) remove(ctx context.Context, pod *v1.Pod) error {
	now := int64(0) // there is no kubelet that would end it
	return s.cp.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// prioritizeFailures looks for the line that is the only trace of a prioritize gone wrong.
func (s *suite) prioritizeFailures(p *process) error {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("About to try and schedule pod")) {
		return errors.New("the log is not as verbose as it would have to be")
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		if bytes.Contains(line, []byte("Failed to run extender's priority function")) {
			return errors.New(string(line))
		}
	}
	return nil
}
