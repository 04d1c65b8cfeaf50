// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	agentAccount = "numawise-agent" // and its namespace
	reportsAPI   = "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/"
	agentCPUs    = `{"policyName":"static","defaultCpuSet":"%s","entries":{"%s":{"main":"%s"}},"checksum":1}`
)

// A NodeResourceTopology as the API server has it.
type nodeReport struct {
	Metadata   metav1.ObjectMeta              `json:"metadata"`
	Attributes []struct{ Name, Value string } `json:"attributes"`
	Zones      []struct{ Name, Type string }  `json:"zones"`
}

func (r *nodeReport) attribute(name string) string {
	for _, a := range r.Attributes {
		if a.Name == "orchestration.gokore.io/"+name {
			return a.Value
		}
	}
	return ""
}

func (r *nodeReport) generation() int {
	n, _ := strconv.Atoi(r.attribute("generation"))
	return n
}

var agentNodes = []string{"agent-mine", "agent-other"}

// playAgent: with the rights that are shipped, and the token of a pod on its node, the agent writes the report of that node
// and no other.
func (l *live) playAgent(ctx context.Context) {
	mine, other, kubelet, err := l.prepareAgent(ctx)
	defer func() { l.check("nothing of it is left", l.removeAgent(ctx)) }()
	if !l.check("two nodes, a pod of the agent on one of them, and what is shipped for it", err) {
		return
	}
	kubeconfig, err := l.agentKubeconfig(ctx, mine)
	if !l.check("the pod's token", err) {
		return
	}
	user, err := l.hold(ctx, mine.Name, kubelet, "1")
	l.check("a pod holds CPU 1, as the kubelet's state file says", err)
	p, err := l.startAgent("agent", kubeconfig, kubelet, mine.Name)
	if !l.check("the agent starts", err) {
		return
	}
	l.check("its report belongs to the Node, and names the pod and its CPU", eventually(patience, func() error {
		r, err := l.nodeReport(ctx, mine.Name)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.tail(5))
		}
		if len(r.Metadata.OwnerReferences) != 1 || r.Metadata.OwnerReferences[0].UID != mine.UID || len(r.Zones) == 0 {
			return fmt.Errorf("owners %v, %d zones", r.Metadata.OwnerReferences, len(r.Zones))
		}
		if want := `"cpus":"1"`; !strings.Contains(r.attribute("placements"), user.Namespace+"/"+user.Name) || !strings.Contains(r.attribute("placements"), want) {
			return fmt.Errorf("placements: %s", r.attribute("placements"))
		}
		return nil
	}))
	first, err := l.nodeReport(ctx, mine.Name)
	err = errors.Join(err, writeFile(filepath.Join(kubelet, "cpu_manager_state"), []byte(fmt.Sprintf(agentCPUs, "0", user.UID, "1-2"))))
	l.check("a change of the state file comes through, and the generation grows", errors.Join(err, eventually(patience, func() error {
		r, err := l.nodeReport(ctx, mine.Name)
		if err == nil && (!strings.Contains(r.attribute("placements"), `"cpus":"1-2"`) || r.generation() <= first.generation()) {
			err = fmt.Errorf("generation %d: %s", r.generation(), r.attribute("placements"))
		}
		return err
	})))
	l.check("SIGTERM ends it", p.terminate(10*time.Second))
	stray, err := l.startAgent("stray", kubeconfig, kubelet, other.Name)
	if err == nil {
		err = stray.waitFor("a refusal", patience, func() bool {
			text, _ := os.ReadFile(filepath.Join(l.work, "stray.log"))
			return strings.Contains(string(text), "ValidatingAdmissionPolicy 'numawise-agent-own-node'")
		})
		stray.kill()
	}
	if _, absent := l.nodeReport(ctx, other.Name); !apierrors.IsNotFound(absent) {
		err = errors.Join(err, fmt.Errorf("the report of %s: %v", other.Name, absent))
	}
	l.check("with the same token it writes nothing of another node", err)
}

// prepareAgent makes the nodes, what is in deploy/manifests/agent but for the DaemonSet, and a kubelet's directory.
func (l *live) prepareAgent(ctx context.Context) (mine, other *v1.Node, kubelet string, err error) {
	for i, name := range agentNodes {
		var node *v1.Node
		node, err = l.cp.client.CoreV1().Nodes().Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			return
		}
		if i == 0 {
			mine = node
		} else {
			other = node
		}
	}
	if err = l.makeNamespace(ctx, agentAccount); err != nil {
		return
	}
	for _, file := range []string{"rbac.yaml", "admission.yaml"} {
		objects, e := loadObjects(filepath.Join(l.source, "deploy", "manifests", "agent", file))
		for _, o := range objects {
			e = errors.Join(e, l.cp.postManifest(ctx, o, false))
		}
		err = errors.Join(err, e)
	}
	kubelet = filepath.Join(l.work, "agent-kubelet")
	config := "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncpuManagerPolicy: static\nreservedSystemCPUs: '0'\n"
	return mine, other, kubelet, errors.Join(err, os.MkdirAll(filepath.Join(kubelet, "device-plugins"), 0o700),
		writeFile(filepath.Join(kubelet, "config.yaml"), []byte(config)),
		writeFile(filepath.Join(kubelet, "memory_manager_state"), []byte(`{"policyName":"None","machineState":{},"checksum":1}`)))
}

// removeAgent: the next scene has its own nodes.
func (l *live) removeAgent(ctx context.Context) error {
	err := l.removeNamespace(ctx, agentAccount)
	for _, name := range agentNodes {
		_, report := l.cp.client.Discovery().RESTClient().Delete().AbsPath(reportsAPI + name).DoRaw(ctx)
		err = errors.Join(err, ignoreAbsent(report),
			ignoreAbsent(l.cp.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})))
	}
	return err
}

// hold makes a pod on the node, and the kubelet's word that it has these CPUs.
func (l *live) hold(ctx context.Context, node, kubelet, cpus string) (*v1.Pod, error) {
	pod, err := l.cp.client.CoreV1().Pods(agentAccount).Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "user"},
		Spec: v1.PodSpec{NodeName: node, Containers: []v1.Container{{Name: "main", Image: "none"}}}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return pod, writeFile(filepath.Join(kubelet, "cpu_manager_state"), []byte(fmt.Sprintf(agentCPUs, "0,2", pod.UID, cpus)))
}

// agentKubeconfig has the token of a pod of the agent on this node.
func (l *live) agentKubeconfig(ctx context.Context, node *v1.Node) (string, error) {
	pod, err := l.cp.client.CoreV1().Pods(agentAccount).Create(ctx, &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: v1.PodSpec{NodeName: node.Name, ServiceAccountName: agentAccount, Containers: []v1.Container{{Name: "main", Image: "none"}}}},
		metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	token, err := l.token(ctx, agentAccount, agentAccount, pod)
	if err != nil {
		return "", err
	}
	file := filepath.Join(l.work, "agent.kubeconfig")
	return file, writeFile(file, []byte(fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: e2e\n"+
		"clusters: [{name: e2e, cluster: {server: '%s', certificate-authority: '%s'}}]\n"+
		"users: [{name: agent, user: {token: '%s'}}]\ncontexts: [{name: e2e, context: {cluster: e2e, user: agent}}]\n",
		l.cp.url, l.cp.ca.path("ca", "crt"), token)))
}

func (l *live) startAgent(name, kubeconfig, kubelet, node string) (*process, error) {
	machine := filepath.Join(l.source, "tests", "data", "machines", "8intel64-4n2t-memattrs.xml")
	return l.ps.start("numawise "+name, filepath.Join(l.work, name+".log"), l.binary, "agent", "--kubeconfig", kubeconfig, "--kubelet-dir", kubelet,
		"--device-plugins", filepath.Join(kubelet, "device-plugins"),
		"--podresources", "off", "--xml", machine, "--node-name", node, "--listen", "127.0.0.1:0")
}

func (l *live) nodeReport(ctx context.Context, node string) (*nodeReport, error) {
	text, err := l.cp.client.Discovery().RESTClient().Get().AbsPath(reportsAPI + node).DoRaw(ctx)
	r := &nodeReport{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	return r, err
}
