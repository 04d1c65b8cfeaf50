// SPDX-License-Identifier: Apache-2.0

package podresources

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	api "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// A service that does something before it answers.
type altered struct {
	api.UnimplementedPodResourcesListerServer
	inner  api.PodResourcesListerServer
	before func(ctx context.Context, method string) error
}

func (s *altered) GetAllocatableResources(ctx context.Context, r *api.AllocatableResourcesRequest) (*api.AllocatableResourcesResponse, error) {
	if err := s.before(ctx, "GetAllocatableResources"); err != nil {
		return nil, err
	}
	return s.inner.GetAllocatableResources(ctx, r)
}

func (s *altered) List(ctx context.Context, r *api.ListPodResourcesRequest) (*api.ListPodResourcesResponse, error) {
	if err := s.before(ctx, "List"); err != nil {
		return nil, err
	}
	return s.inner.List(ctx, r)
}

// publishes: the agent publishes all that the service says, and has nothing to say of the socket.
func publishes(t *testing.T, dir, socket string, m *managers) {
	t.Helper()
	r, words := once(t, dir)
	if strings.Contains(words, socket) {
		t.Fatal(words)
	}
	compare(t, r.facts(t), expected(said(t, m.service())))
}

// leavesOut: nothing of it is published, and the agent says of both questions why.
func leavesOut(t *testing.T, dir, socket, why string) {
	t.Helper()
	r, words := once(t, dir)
	for _, method := range []string{"GetAllocatableResources", "List"} {
		if !strings.Contains(words, socket+": "+method+": "+why) {
			t.Fatalf("it does not say that %s: %s, but: %s", method, why, words)
		}
	}
	f := r.facts(t)
	if _, ok := value(r.Attributes, "placements"); ok || f.Devices != nil || f.FreeCPUs != [zones]string{} || f.Reserved != "" {
		t.Fatalf("published: %+v", f)
	}
}

// allOrNothing: each question is answered as a whole, or nothing of it is published.
func allOrNothing(t *testing.T, dir, socket string, m *managers) {
	t.Helper()
	r, words := once(t, dir)
	a, l := said(t, m.service())
	if strings.Contains(words, socket+": List: ") {
		l = nil
	}
	f := r.facts(t)
	if strings.Contains(words, socket+": GetAllocatableResources: ") {
		if f.Devices != nil || f.Reserved != "" {
			t.Fatalf("published: %+v", f)
		}
		return
	}
	compare(t, f, expected(a, l))
}

func TestNobodyHoldsAnything(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "idle", held{}, held{})
	serve(t, socket, m.service())
	publishes(t, dir, socket, m)
}

func TestPodsHoldCPUsMemoryAndDevices(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "one-zone", held{cpus: []int64{1, 2, 3, 7}, memory: block("memory", 1<<30, 0), devices: devices(gpu, []int64{0}, "GPU-0-a")}, held{})
	m.add("ml", "two-zones", held{}, held{cpus: append(span(30, 47), span(49, 60)...),
		memory:  append(block("memory", 60<<30, 1, 2), block("hugepages-2Mi", 1<<21, 1)...),
		devices: append(devices(gpu, []int64{2}, "GPU-2-b"), devices(gpu, []int64{1}, "GPU-1-b", "GPU-1-a")...)})
	m.add("other", "one-zone", held{devices: append(devices(nic, []int64{0, 1}, "port-0"), devices(nic, nil, "port-1")...)})
	m.add("other", "claims", held{cpus: []int64{90}, claims: []*api.DynamicResource{{ClaimName: "c", ClaimNamespace: "other",
		ClaimResources: []*api.ClaimResource{{CdiDevices: []*api.CDIDevice{{Name: "vendor.com/gpu=gpu0"}}, DriverName: "d", PoolName: "p", DeviceName: "x"}}}}})
	serve(t, socket, m.service())
	publishes(t, dir, socket, m)
}

// More than a frame, than a flow control window, than pods that a node has.
func TestManyPods(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	for i := range int64(2000) {
		id := fmt.Sprintf("%s-%d-%s", "part", i, strings.Repeat("x", 40))
		z := i % zones
		m.devices = append(m.devices, devices("example.com/part", []int64{z}, id)...)
		h := held{devices: devices("example.com/part", []int64{z}, id), memory: block("memory", uint64(i+1)<<20, z)}
		if i < zones*(zoneCPUs-1) {
			h.cpus = []int64{z*zoneCPUs + 1 + i/zones}
		}
		m.add(fmt.Sprintf("n%d", i%7), fmt.Sprintf("pod-%d", i), h, held{})
	}
	serve(t, socket, m.service())
	publishes(t, dir, socket, m)
}

// An answer of about `bytes`, by what the agent does not read.
func padded(bytes int) *managers {
	const each = 16 << 10
	m := fourZones()
	for i := range bytes / each {
		m.add("big", fmt.Sprintf("pod-%d", i), held{cpus: []int64{1 + int64(i)%23}, claims: []*api.DynamicResource{{ClaimName: strings.Repeat("c", each)}}})
	}
	return m
}

func TestTwelveMebibytes(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := padded(12 << 20)
	serve(t, socket, m.service())
	publishes(t, dir, socket, m)
}

func TestMoreThanTheAgentTakes(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := padded(17 << 20)
	serve(t, socket, m.service())
	r, words := once(t, dir)
	if want := socket + ": List: the answer is larger than 16 MiB"; !strings.Contains(words, want) {
		t.Fatal(words)
	}
	a, _ := said(t, m.service())
	compare(t, r.facts(t), expected(a, nil))
}

func TestSlowButWithinTheTime(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}})
	serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error { time.Sleep(time.Second); return nil }})
	publishes(t, dir, socket, m)
}

// The deadline goes with the question, so that the kubelet stops working on it, too.
func TestTooSlow(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	given := make(chan time.Duration, 2)
	serve(t, socket, &altered{inner: fourZones().service(), before: func(ctx context.Context, _ string) error {
		deadline, _ := ctx.Deadline()
		given <- time.Until(deadline)
		<-ctx.Done()
		time.Sleep(time.Second) // longer than the agent waits
		return ctx.Err()
	}})
	leavesOut(t, dir, socket, "")
	for range 2 {
		if d := <-given; d <= 0 || d > 5*time.Second {
			t.Fatalf("the deadline is in %v", d)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, text := range map[codes.Code]string{codes.Unavailable: "the managers start", codes.ResourceExhausted: "rejected by rate limit",
		codes.PermissionDenied: "50 % \u00fc", codes.Internal: strings.Repeat("long ", 4000)} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			dir, socket := kubeletDir(t)
			serve(t, socket, &altered{inner: fourZones().service(), before: func(context.Context, string) error { return status.Error(code, text) }})
			leavesOut(t, dir, socket, fmt.Sprintf("gRPC code %d: %s", code, text[:2]))
		})
	}
}

// A kubelet without this API. The server refuses before it has heard the question out, and resets the stream after its answer: what
// the agent says of it depends on which comes first.
func TestAnotherService(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	serve(t, socket, nil)
	leavesOut(t, dir, socket, "")
}

// One of the questions is refused, as GetAllocatableResources is under --feature-gates=KubeletPodResourcesGetAllocatable=false.
func TestListAlone(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5, 6}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
	serve(t, socket, &altered{inner: m.service(), before: func(_ context.Context, method string) error {
		if method == "List" {
			return nil
		}
		return status.Error(codes.Unimplemented, "off")
	}})
	r, words := once(t, dir)
	if !strings.Contains(words, "GetAllocatableResources: gRPC code 12: off") || strings.Contains(words, "List:") {
		t.Fatal(words)
	}
	f, want := r.facts(t), expected(said(t, m.service()))
	if f.Devices != nil || f.Reserved != "" {
		t.Fatalf("published: %+v", f)
	}
	f.Devices, f.Resources, f.Reserved = want.Devices, want.Resources, want.Reserved
	compare(t, f, want)
}

// curl takes up to 300 KB of them.
func TestTrailers(t *testing.T) {
	t.Parallel()
	for bytes, check := range map[int]func(*testing.T, string, string, *managers){100: publishes, 60 << 10: publishes, 4 << 20: allOrNothing} {
		t.Run(fmt.Sprint(bytes), func(t *testing.T) {
			t.Parallel()
			dir, socket := kubeletDir(t)
			m := fourZones()
			m.add("ml", "a", held{cpus: []int64{5}})
			serve(t, socket, &altered{inner: m.service(), before: func(ctx context.Context, _ string) error {
				more := metadata.MD{}
				for i := range bytes/50 + 1 {
					more.Set(fmt.Sprintf("grpc-more-%d", i), strings.Repeat("v", 50))
				}
				return grpc.SetTrailer(ctx, more)
			}})
			check(t, dir, socket, m)
		})
	}
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}})
	var g *grpc.Server
	started := make(chan struct{})
	g = serve(t, socket, &altered{inner: m.service(), before: func(context.Context, string) error {
		<-started
		go g.GracefulStop()
		time.Sleep(100 * time.Millisecond)
		return nil
	}})
	close(started)
	allOrNothing(t, dir, socket, m)
}
