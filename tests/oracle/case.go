// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"

	"numawise.dev/tests/kubelet"
)

// Case is one line of a vector file (tests/data/kubelet-vectors/README.md).
type Case struct {
	Name         string       `json:"name"`
	Why          string       `json:"why,omitempty"`
	Node         kubelet.Node `json:"node"`
	Steps        []Step       `json:"steps"`
	StartError   string       `json:"startError,omitempty"`
	ReservedCPUs string       `json:"reservedCPUs,omitempty"`
	Results      []Result     `json:"results,omitempty"`
}

// Step is one of the three.
type Step struct {
	Admit  *kubelet.Pod `json:"admit,omitempty"`
	Start  string       `json:"start,omitempty"`
	Remove string       `json:"remove,omitempty"`
}

// Result is what the kubelet answered to a step, and the state after it.
type Result struct {
	Admitted    *bool               `json:"admitted,omitempty"`
	Reason      string              `json:"reason,omitempty"`
	Message     string              `json:"message,omitempty"`
	Panic       string              `json:"panic,omitempty"`
	QOS         string              `json:"qos,omitempty"`
	Containers  []kubelet.Container `json:"containers,omitempty"`
	State       *kubelet.State      `json:"state,omitempty"`
	Settled     *kubelet.State      `json:"settled,omitempty"`
	Unspecified []string            `json:"unspecified,omitempty"`
}

// line returns the case as one line of a file, with its newline.
func (c *Case) line() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		panic(err) // plain values only
	}
	return b.Bytes()
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// comparable empties in two lines of the same case what is unspecified in either.
func comparable(a, b []byte) ([]byte, []byte) {
	var x, y Case
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return a, b
	}
	for i := range min(len(x.Results), len(y.Results)) {
		all := append(append([]string{}, x.Results[i].Unspecified...), y.Results[i].Unspecified...)
		for _, r := range []*Result{&x.Results[i], &y.Results[i]} {
			if len(all) > 0 && r.Settled == nil && r.State != nil {
				settled := *r.State
				r.Settled = &settled
			}
			r.Unspecified = all
			r.blank()
		}
	}
	return x.line(), y.line()
}
