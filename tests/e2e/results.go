// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"sort"
	"time"
)

// The trials of a scene, by way and round.
type results struct {
	scene  scene
	trials map[string][]*trial // of a way, [rounds]
}

func newResults(s scene) *results {
	return &results{s, map[string][]*trial{}}
}

func (r *results) add(round int, name string, t *trial) {
	r.trials[name] = append(r.trials[name], t)
}

// print: medians over the rounds, with the least and the most. A share is the median of the shares
// of single rounds, whose trials ran within the same minute.
func (r *results) print() {
	fmt.Printf("  %-24s %7s %17s %9s %9s   %s\n", "", "pods/s", "least to most", "of none", "of floor",
		"CPU ms a pod: scheduler, apiserver, etcd, extender, suite")
	for _, w := range r.scene.ways {
		speed := values(r.trials[w.name], (*trial).podsPerSecond)
		fmt.Printf("  %-24s %7.1f %17s %9s %9s   ", w.name, median(speed),
			fmt.Sprintf("%.1f to %.1f", speed[0], speed[len(speed)-1]),
			r.share(w.name, "no extender"), r.share(w.name, w.against))
		for _, of := range []func(*trial) time.Duration{
			func(t *trial) time.Duration { return t.cpu.scheduler },
			func(t *trial) time.Duration { return t.cpu.apiserver },
			func(t *trial) time.Duration { return t.cpu.etcd },
			func(t *trial) time.Duration { return t.cpu.extender },
			func(t *trial) time.Duration { return t.cpu.suite },
		} {
			fmt.Printf(" %6.3f", median(values(r.trials[w.name], func(t *trial) float64 {
				return of(t).Seconds() * 1000 / float64(t.pods)
			})))
		}
		fmt.Println()
	}
}

// share is the median over the rounds of one way's speed by another's; "" where that was not played.
func (r *results) share(name, other string) string {
	if name == other || len(r.trials[other]) != len(r.trials[name]) {
		return ""
	}
	var shares []float64
	for i, t := range r.trials[name] {
		shares = append(shares, t.podsPerSecond()/r.trials[other][i].podsPerSecond())
	}
	sort.Float64s(shares)
	return fmt.Sprintf("%.1f %%", 100*median(shares))
}

// values are sorted.
func values(trials []*trial, of func(*trial) float64) []float64 {
	var all []float64
	for _, t := range trials {
		all = append(all, of(t))
	}
	sort.Float64s(all)
	return all
}

// median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
