// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"os"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// Two zones of 4 CPUs (0 is reserved) and 8 GiB less 1, a device in each.
func machine(policy string) Node {
	n := Node{
		Devices: []Device{
			{Resource: "example.com/gpu", ID: "g0", Zones: []int{0}, Healthy: true},
			{Resource: "example.com/gpu", ID: "g1", Zones: []int{1}, Healthy: true},
		},
		Kubelet: Config{
			TopologyManagerPolicy: policy,
			TopologyManagerScope:  "container",
			CPUManagerPolicy:      "static",
			ReservedCPUs:          "0",
			MemoryManagerPolicy:   "Static",
		},
	}
	for z := range 2 {
		zone := Zone{ID: z, Distances: []uint64{10, 20}, Memory: Amount{Total: 8 << 30, Reserved: 1 << 30}}
		for c := range 4 {
			zone.Cores = append(zone.Cores, Core{Socket: z, Uncore: z, CPUs: []int{4*z + c}})
		}
		n.Zones = append(n.Zones, zone)
	}
	return n
}

func start(t *testing.T, policy string) *Kubelet {
	t.Helper()
	k, err := New(machine(policy))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pod(t *testing.T, uid, cpu, memory, gpu string) *v1.Pod {
	t.Helper()
	limits := map[string]string{"cpu": cpu, "memory": memory, "example.com/gpu": gpu}
	p, err := Pod{UID: uid, Containers: []PodContainer{{Name: "main", Limits: limits}}}.Object()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func admit(t *testing.T, k *Kubelet, p *v1.Pod, reason string) {
	t.Helper()
	if r := k.Admit(p); r.Reason != reason {
		t.Fatalf("%s: %q %q, not %q", p.UID, r.Reason, r.Message, reason)
	}
}

// What a pod of 3 CPUs, 4 GiB and a device leaves of zone 0.
func zone0(k *Kubelet) (cpus string, memory uint64, devices []string) {
	s := k.State()
	return s.FreeCPUs["0"], s.Memory["0"].Free["memory"] >> 30, s.FreeDevices["example.com/gpu"]
}

func expectZone0(t *testing.T, k *Kubelet, cpus string, memory uint64, devices ...string) {
	t.Helper()
	c, m, d := zone0(k)
	if c != cpus || m != memory || !slices.Equal(d, devices) {
		t.Fatalf("zone 0: CPUs %q, %d GiB, devices %v; not %q, %d, %v", c, m, d, cpus, memory, devices)
	}
}

// docs/scoring.md, "When a resource comes back": the rows of the kubelet.
func TestWhenAResourceComesBack(t *testing.T) {
	t.Run("exited or deleted: before the next admission", func(t *testing.T) {
		k := start(t, "restricted")
		admit(t, k, pod(t, "a", "3", "4Gi", "1"), "")
		expectZone0(t, k, "", 3, "g1")
		k.End("a")
		expectZone0(t, k, "", 3, "g1") // nobody has asked yet
		admit(t, k, pod(t, "b", "3", "4Gi", "1"), "")
		expectZone0(t, k, "", 3, "g1")
		if held := k.Containers(pod(t, "a", "3", "4Gi", "1"))[0]; held.CPUs != nil || len(held.Memory)+len(held.Devices) > 0 {
			t.Fatalf("a still holds %v", held)
		}
	})
	t.Run("rejected: before the next admission", func(t *testing.T) {
		k := start(t, "none")
		// CPUs and a device come before memory, of which there is not so much.
		admit(t, k, pod(t, "a", "3", "20Gi", "1"), "UnexpectedAdmissionError")
		expectZone0(t, k, "", 7, "g1")
		admit(t, k, pod(t, "b", "3", "4Gi", "1"), "")
		expectZone0(t, k, "", 3, "g1")
	})
	t.Run("terminating, still running: held", func(t *testing.T) {
		k := start(t, "single-numa-node")
		admit(t, k, pod(t, "a", "3", "4Gi", "1"), "")
		admit(t, k, pod(t, "b", "4", "4Gi", "1"), "")
		admit(t, k, pod(t, "c", "1", "1Gi", "1"), "TopologyAffinityError")
		k.Settle()
		expectZone0(t, k, "", 3)
	})
	t.Run("all that is left is given back", func(t *testing.T) {
		k := start(t, "restricted")
		admit(t, k, pod(t, "a", "3", "4Gi", "1"), "")
		k.Remove("a")
		expectZone0(t, k, "1-3", 7, "g0", "g1")
	})
}

func TestAKubeletThatDoesNotStartSaysWhy(t *testing.T) {
	n := machine("restricted")
	n.Kubelet.ReservedCPUs = ""
	if _, err := New(n); err == nil {
		t.Fatal("static without a reservation")
	}
}
