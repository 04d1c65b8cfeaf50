// SPDX-License-Identifier: Apache-2.0

package podresources

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"testing"

	api "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/utils/cpuset"
)

const (
	zones, zoneCPUs = 4, 24 // of this machine
	machine         = "../data/machines/96em64t-4n4d3ca2co-pci.xml"
	config          = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n" +
		"topologyManagerPolicy: restricted\ncpuManagerPolicy: static\nmemoryManagerPolicy: Static\nkubeReserved: {cpu: '4'}\n"
)

// What is published, as far as podresources tells of it.
type report struct {
	Attributes []attribute `json:"attributes"`
	Zones      []struct {
		Attributes []attribute `json:"attributes"`
		Resources  []resource  `json:"resources"`
	} `json:"zones"`
}

type attribute struct{ Name, Value string }
type resource struct{ Name, Capacity, Allocatable, Available string }

func value(of []attribute, name string) (string, bool) {
	for _, a := range of {
		if a.Name == "orchestration.gokore.io/"+name {
			return a.Value, true
		}
	}
	return "", false
}

type memory struct {
	Zones []int64
	Type  string
	Bytes uint64
}

type container struct {
	CPUs    string              `json:"cpus"`
	Memory  []memory            `json:"memory"`
	Devices map[string][]string `json:"devices"`
}

type placement struct {
	Containers map[string]container `json:"containers"`
}

type device struct {
	ID      string
	Zones   []int64
	Healthy bool
}

// The same facts, out of a report or out of what the server said.
type facts struct {
	Reserved   string
	Placements map[string]placement
	Devices    map[string][]device
	FreeCPUs   [zones]string
	Resources  [zones]map[string]resource // cpu and the devices
}

func (r *report) facts(t *testing.T) facts {
	t.Helper()
	f := facts{}
	f.Reserved, _ = value(r.Attributes, "reserved-cpus")
	for name, into := range map[string]any{"placements": &f.Placements, "devices": &f.Devices} {
		if text, ok := value(r.Attributes, name); ok {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatalf("%s: %v: %s", name, err, text)
			}
		}
	}
	for z := range r.Zones {
		f.FreeCPUs[z], _ = value(r.Zones[z].Attributes, "free-cpus")
		f.Resources[z] = map[string]resource{}
		for _, have := range r.Zones[z].Resources {
			if have.Name != "memory" {
				f.Resources[z][have.Name] = have
			}
		}
	}
	return f
}

// sorted ids of what is listed of each resource, each once.
func byResource(list []*api.ContainerDevices) map[string][]string {
	ids := map[string][]string{}
	for _, d := range list {
		ids[d.ResourceName] = append(ids[d.ResourceName], d.DeviceIds...)
	}
	for r := range ids {
		sort.Strings(ids[r])
		ids[r] = slices.Compact(ids[r])
	}
	return ids
}

func zonesOf(t *api.TopologyInfo) []int64 {
	ids := []int64{}
	for _, n := range t.GetNodes() {
		ids = append(ids, n.ID)
	}
	return ids
}

func ints(ids []int64) (out []int) {
	for _, i := range ids {
		out = append(out, int(i))
	}
	return out
}

// expected of what the server says; without `pods` nothing is known of what is held.
func expected(a *api.AllocatableResourcesResponse, pods *api.ListPodResourcesResponse) facts {
	f := facts{Placements: map[string]placement{}, Devices: map[string][]device{}}
	allocatable, taken := cpuset.New(ints(a.CpuIds)...), cpuset.New()
	used := map[string]bool{} // resource/id
	for _, p := range pods.GetPodResources() {
		holds := placement{Containers: map[string]container{}}
		for _, c := range p.Containers {
			one := container{CPUs: cpuset.New(ints(c.CpuIds)...).String(), Devices: byResource(c.Devices)}
			for _, b := range c.Memory {
				one.Memory = append(one.Memory, memory{zonesOf(b.Topology), b.MemoryType, b.Size})
			}
			if one.CPUs == "" && len(one.Memory) == 0 && len(one.Devices) == 0 {
				continue
			}
			for r, ids := range one.Devices {
				for _, id := range ids {
					used[r+"/"+id] = true
				}
			}
			if len(one.Devices) == 0 {
				one.Devices = nil
			}
			taken = taken.Union(cpuset.New(ints(c.CpuIds)...))
			holds.Containers[c.Name] = one
		}
		if len(holds.Containers) > 0 {
			f.Placements[p.Namespace+"/"+p.Name] = holds
		}
	}
	for _, d := range a.Devices {
		for _, id := range d.DeviceIds {
			f.Devices[d.ResourceName] = append(f.Devices[d.ResourceName], device{id, zonesOf(d.Topology), true})
		}
	}
	for _, list := range f.Devices {
		slices.SortFunc(list, func(x, y device) int { return bytes.Compare([]byte(x.ID), []byte(y.ID)) })
	}
	reserved := cpuset.New()
	for z := range zones {
		all := cpuset.New(ints(span(int64(z)*zoneCPUs, int64(z+1)*zoneCPUs-1))...)
		own := all.Intersection(allocatable)
		reserved = reserved.Union(all.Difference(own))
		if pods != nil {
			f.FreeCPUs[z] = all.Difference(taken).String()
		}
		f.Resources[z] = map[string]resource{"cpu": {"cpu", strconv.Itoa(all.Size()), strconv.Itoa(own.Size()), strconv.Itoa(own.Difference(taken).Size())}}
		for r, list := range f.Devices {
			here, free := 0, 0
			for _, d := range list {
				if slices.Contains(d.Zones, int64(z)) {
					here++
					if !used[r+"/"+d.ID] {
						free++
					}
				}
			}
			if here > 0 {
				f.Resources[z][r] = resource{r, strconv.Itoa(here), strconv.Itoa(here), strconv.Itoa(free)}
			}
		}
	}
	f.Reserved = reserved.String()
	if pods == nil {
		f.Placements = nil
	}
	return f
}

func compare(t *testing.T, got, want facts) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	x, _ := json.MarshalIndent(got, "", " ")
	y, _ := json.MarshalIndent(want, "", " ")
	xs, ys := bytes.Split(x, []byte("\n")), bytes.Split(y, []byte("\n"))
	for i := 0; i < len(xs) && i < len(ys); i++ {
		if !bytes.Equal(xs[i], ys[i]) {
			from := max(i-10, 0)
			t.Fatalf("published:\n%s\n\nthe server said:\n%s", bytes.Join(xs[from:min(i+5, len(xs))], []byte("\n")), bytes.Join(ys[from:min(i+5, len(ys))], []byte("\n")))
		}
	}
	t.Fatalf("published %d lines, the server said %d", len(xs), len(ys))
}

// A kubelet's directory of which only the configuration can be seen.
func kubeletDir(t *testing.T) (dir, socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "podres") // short: it becomes the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "pod-resources", "kubelet.sock")
}

func agent(t *testing.T, dir string, more ...string) *exec.Cmd {
	t.Helper()
	program := os.Getenv("NUMAWISE")
	if program == "" {
		t.Fatal("NUMAWISE does not name the program")
	}
	c := exec.CommandContext(t.Context(), program, append([]string{"agent", "--xml", machine, "--node-name", "n1", "--kubelet-dir", dir, "--device-plugins", filepath.Join(dir, "device-plugins")}, more...)...)
	c.Env = append(os.Environ(), "KUBECONFIG=", "KUBERNETES_SERVICE_HOST=")
	return c
}

// once is what the agent would publish, and what it says is not known.
func once(t *testing.T, dir string, more ...string) (*report, string) {
	t.Helper()
	var out, said bytes.Buffer
	c := agent(t, dir, append([]string{"--once", "-o", "json"}, more...)...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	r := &report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if len(r.Zones) != zones {
		t.Fatalf("%d zones", len(r.Zones))
	}
	return r, said.String()
}
