// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// playOtherwise: the topology does not tell which threads are of one core, so numawise lets a pod of
// three CPUs in, and its kubelet, which gives whole cores only, refuses it.
func (l *live) playOtherwise(ctx context.Context) {
	config := kubelet.Config{TopologyManagerPolicy: "single-numa-node", TopologyManagerScope: "container", CPUManagerPolicy: "static",
		CPUManagerPolicyOptions: map[string]string{"full-pcpus-only": "true"}, MemoryManagerPolicy: "Static"}
	machine := fleet.Machine{Name: "otherwise-0", Kind: "threads",
		Kubelet: fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 8, Threads: 2, MemoryGiB: 16}.Describe(config)}
	st, err := l.set(ctx, staging{name: "otherwise", machines: []fleet.Machine{machine}, numawise: true, scheduler: "config.yaml",
		kubelets: fleet.Options{Publish: 20 * time.Millisecond, Plain: true}})
	if !l.check("a node that does not tell its threads, numawise and kube-scheduler start", err) {
		return
	}
	l.check("a pod of 3 CPUs is bound, and its kubelet refuses it", st.ends(ctx, "odd", guaranteed(3), v1.PodFailed, "SMTAlignmentError"))
	l.check("numawise counts a misprediction", eventually(soon, func() error {
		n, err := st.nw.metric(`numawise_mispredictions_total{reason="SMTAlignmentError"}`)
		if err == nil && n != 1 {
			err = fmt.Errorf("%v", n)
		}
		return err
	}))
	l.check("an Event of the node says so", eventually(soon, func() error { return l.toldOf(ctx, machine.Name, "otherwise/odd") }))
	l.check("kubelet_vectors reads the case: the kubelet has refused what numawise admits", l.judgeCase(st.nw))
	l.end(ctx, st, 1)
}

// toldOf: there is an Event about the node with this text, and the API server has taken it as it is.
func (l *live) toldOf(ctx context.Context, node, text string) error {
	list, err := l.cp.client.EventsV1().Events("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, e := range list.Items {
		if e.Reason == "AdmissionMispredicted" && e.Regarding.Kind == "Node" && e.Regarding.Name == node && strings.Contains(e.Note, text) {
			return nil
		}
	}
	return fmt.Errorf("%d Events, none says so", len(list.Items))
}

// judgeCase: one line, which the runner that is built beside numawise reads.
func (l *live) judgeCase(nw *numawise) error {
	text, err := get(nw.console, "/v1/mispredictions")
	if err != nil {
		return err
	}
	var one map[string]any
	if err := json.Unmarshal(text, &one); err != nil {
		return fmt.Errorf("not one case: %w", err)
	}
	runner := filepath.Join(filepath.Dir(l.binary), "tests", "kubelet_vectors")
	if _, err := os.Stat(runner); err != nil {
		return err
	}
	file := filepath.Join(l.work, "mispredictions.jsonl")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	out, err := exec.Command(runner, file).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("admitted: kubelet false, numawise true")) {
		return fmt.Errorf("%v: %s", err, out)
	}
	return nil
}
