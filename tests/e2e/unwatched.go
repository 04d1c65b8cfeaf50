// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"numawise.dev/tests/fleet"
	"numawise.dev/tests/kubelet"
)

// The object of deploy/manifests/retry.
const retryNamespace, retryName = "numawise-system", "numawise-retry"

// playUnwatched: all that changes is a report of the node, which kube-scheduler does not watch. A
// pod that was refused waits on; with extender.retry it is bound soon.
func (l *live) playUnwatched(ctx context.Context) {
	l.playUntold(ctx)
	l.playTold(ctx)
}

func (l *live) playUntold(ctx context.Context) {
	st, ok := l.refuseWide(ctx, "untold", "")
	if !ok {
		return
	}
	asked, err := st.filters()
	if err == nil {
		err = st.publishPolicy(ctx, "best-effort")
	}
	if err == nil {
		// Longer than kube-scheduler's longest back-off, after which it had asked if it had cause to.
		err = st.isBound(ctx, "wide", 12*time.Second)
		if err == nil {
			err = errors.New("it is bound")
		} else if now, e := st.filters(); e != nil || now != asked {
			err = errors.Join(e, fmt.Errorf("filter was asked %v times more", now-asked))
		} else {
			err = nil
		}
	}
	l.check("its report says now that the node takes it: nobody asks, it waits", err)
	err = st.touchCapacity(ctx)
	began := time.Now()
	if err == nil {
		err = st.isBound(ctx, "wide", soon)
	}
	l.check("a CSIStorageCapacity that changes brings it back", err)
	if err == nil {
		fmt.Printf("        after %v\n", time.Since(began).Round(time.Millisecond))
	}
	l.end(ctx, st, 0)
}

func (l *live) playTold(ctx context.Context) {
	st, ok := l.refuseWide(ctx, "told", "extender: {retry: "+retryNamespace+"/"+retryName+"}\n")
	if !ok {
		return
	}
	began := time.Now()
	err := st.publishPolicy(ctx, "best-effort")
	if err == nil {
		err = st.isBound(ctx, "wide", soon)
	}
	l.check("with extender.retry it is bound by itself", err)
	if err == nil {
		fmt.Printf("        after %v\n", time.Since(began).Round(time.Millisecond))
	}
	var sent, passed, left float64
	err = eventually(soon, func() error {
		var errs [3]error
		sent, errs[0] = st.nw.metric(`numawise_extender_retries_total{result="sent"}`)
		passed, errs[1] = st.nw.metric("numawise_extender_retry_duration_seconds_count")
		left, errs[2] = st.nw.metric("numawise_extender_refused_pods")
		if err := errors.Join(errs[:]...); err != nil || left == 0 {
			return err
		}
		return fmt.Errorf("%v pods are refused", left)
	})
	if err == nil && (sent != 1 || passed != 1) {
		err = fmt.Errorf("told %v times, %v pods passed then", sent, passed)
	}
	l.check("kube-scheduler was told once", err)
	l.check("it runs", st.is(ctx, "wide", v1.PodRunning, "", soon))
	l.end(ctx, st, 0)
}

// refuseWide: a node whose kubelet takes pods that no zone has room for, and whose report says that it
// does not; so such a pod is refused, and kube-scheduler has put it aside.
func (l *live) refuseWide(ctx context.Context, name, settings string) (*stage, bool) {
	config := kubelet.Config{TopologyManagerPolicy: "best-effort", TopologyManagerScope: "container",
		CPUManagerPolicy: "static", MemoryManagerPolicy: "Static"}
	machine := fleet.Machine{Name: name + "-0", Kind: "two-zones",
		Kubelet: fleet.Regular{Zones: 2, ZonesPerSocket: 1, Cores: 8, Threads: 1, MemoryGiB: 16}.Describe(config)}
	st, err := l.set(ctx, staging{name: name, machines: []fleet.Machine{machine}, numawise: true, settings: settings,
		scheduler: "config.yaml", kubelets: fleet.Options{Publish: l.publish}})
	if !l.check(fmt.Sprintf("a node of 7 and 8 CPUs, numawise (%q) and kube-scheduler start", settings), err) {
		return nil, false
	}
	if err = st.publishPolicy(ctx, "single-numa-node"); err == nil {
		err = st.create(ctx, "wide", guaranteed(9))
	}
	if err == nil {
		err = st.waits(ctx, "wide", "numawise: TopologyAffinityError")
	}
	if err == nil {
		err = st.isPutAside()
	}
	if !l.check("a pod of 9 CPUs is refused, and put aside", err) {
		_ = st.strike(ctx)
		return nil, false
	}
	return st, true
}

// publishPolicy changes what the report of the node says its kubelet does with pods of several zones.
func (st *stage) publishPolicy(ctx context.Context, policy string) error {
	path := "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/" + st.machines[0].Name
	text, err := st.l.cp.get(ctx, path, "application/json")
	if err != nil {
		return err
	}
	var report map[string]any
	if err := json.Unmarshal(text, &report); err != nil {
		return err
	}
	list, _ := report["attributes"].([]any)
	for _, entry := range list {
		if a, _ := entry.(map[string]any); a["name"] == "topologyManagerPolicy" {
			a["value"] = policy
		}
	}
	if text, err = json.Marshal(report); err != nil {
		return err
	}
	_, err = st.l.cp.call(ctx, http.MethodPut, path, "application/json", text)
	return err
}

func (st *stage) filters() (float64, error) {
	return st.nw.metric(`numawise_extender_requests_total{verb="filter",code="200"}`)
}

// isPutAside: filter was asked at least twice, the second time because kube-scheduler's own word about
// the pod is a change of it, and not again since.
func (st *stage) isPutAside() error {
	before, quiet := float64(0), time.Now()
	return eventually(soon, func() error {
		n, err := st.filters()
		if err != nil || n != before {
			before, quiet = n, time.Now()
		}
		if n < 2 || time.Since(quiet) < 3*time.Second {
			return errors.Join(err, fmt.Errorf("filter was asked %v times", n))
		}
		return nil
	})
}

func (st *stage) touchCapacity(ctx context.Context) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"e2e/touched":%q}}}`, time.Now())
	_, err := st.l.cp.client.StorageV1().CSIStorageCapacities(retryNamespace).Patch(ctx, retryName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}
