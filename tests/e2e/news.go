// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// playNews: a pod waits for a zone that another one holds, longer than kube-scheduler waits
// before it tries it again; so it is asked about in the moment in which the other one goes. With the
// second look nobody is left waiting by a refusal that was out of date by a millisecond.
func (l *live) playNews(ctx context.Context) {
	rounds := 20
	if l.small {
		rounds = 5
	}
	for i, settings := range []string{"extender: {secondLook: 0s}\n", ""} {
		late, err := l.followEachOther(ctx, fmt.Sprintf("news-%d", i), settings, rounds)
		if !l.check(fmt.Sprintf("%d pods follow each other (%q)", rounds, settings), err) {
			continue
		}
		if i == 1 && late > 0 {
			l.check("none of them is late", fmt.Errorf("%d are", late))
		}
	}
}

// followEachOther counts the pods that are not bound within three seconds of their predecessor's end.
func (l *live) followEachOther(ctx context.Context, name, settings string, rounds int) (int, error) {
	st, ok := l.onOneMachine(ctx, name, "config.yaml", settings)
	if !ok {
		return 0, fmt.Errorf("no stage")
	}
	late, times, err := st.succession(ctx, rounds)
	helped, _ := st.nw.metric(`numawise_extender_second_looks_total{result="admitted"}`)
	if len(times) > 0 {
		sort.Slice(times, func(i, k int) bool { return times[i] < times[k] })
		fmt.Printf("        from the end of one to the binding of the next: median %v, most %v; %d late; a second look helped %v of them\n",
			times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), late, helped)
	}
	if e := st.strike(ctx); err == nil {
		err = e
	}
	return late, err
}

func (st *stage) succession(ctx context.Context, rounds int) (late int, times []time.Duration, err error) {
	const isLate = 3 * time.Second
	// Of 7 and 8 CPUs two take 5 each: a third fits the sum, and no zone.
	for _, name := range []string{"p0", "p1"} {
		if err = st.ends(ctx, name, guaranteed(5), v1.PodRunning, ""); err != nil {
			return
		}
	}
	for i := 2; i < rounds+2; i++ {
		before, name := fmt.Sprintf("p%d", i-2), fmt.Sprintf("p%d", i)
		if err = st.create(ctx, name, guaranteed(5)); err == nil {
			err = st.waits(ctx, name, "numawise: TopologyAffinityError")
		}
		if err != nil {
			return
		}
		time.Sleep(1200 * time.Millisecond) // the first back-off of kube-scheduler is over
		if err = st.remove(ctx, before); err != nil {
			return
		}
		gone := time.Now()
		patience := 12 * time.Second // longer than kube-scheduler's longest back-off
		err = st.isBound(ctx, name, patience)
		times = append(times, time.Since(gone))
		if time.Since(gone) > isLate {
			late++
		}
		if err != nil { // it waits for the next change of the cluster
			st.scheduler.kill()
			if err = st.startScheduler(st.edit); err == nil {
				err = st.isBound(ctx, name, soon)
			}
		}
		if err != nil {
			return
		}
	}
	return
}

func (st *stage) isBound(ctx context.Context, name string, patience time.Duration) error {
	return eventually(patience, func() error {
		pod, err := st.l.cp.client.CoreV1().Pods(st.name).Get(ctx, name, metav1.GetOptions{})
		if err == nil && pod.Spec.NodeName == "" {
			err = fmt.Errorf("pod %s: %s", name, scheduled(pod).Message)
		}
		return err
	})
}
