// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	extender "k8s.io/kube-scheduler/extender/v1"
)

// A tee carries the bytes between kube-scheduler and numawise untouched, one connection for one
// connection, and keeps a copy: what was asked and answered is then known from the wire itself,
// and not from what one of the two says about it. It outlives a numawise that is restarted.
type tee struct {
	listener net.Listener
	mu       sync.Mutex
	target   string // host:port of numawise
	links    []*link
}

type link struct {
	mu            sync.Mutex
	asked, answer bytes.Buffer
}

// One call of kube-scheduler, as it went over the wire.
type exchange struct {
	verb   string
	pod    string // namespace/name
	status int
	args   extender.ExtenderArgs
	filter extender.ExtenderFilterResult
	scores extender.HostPriorityList
}

func newTee(nw *numawise) (*tee, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tee{listener: listener, target: nw.extender.Host}
	go t.serve()
	return t, nil
}

// url is numawise's URL prefix with the tee in numawise's place.
func (t *tee) url(nw *numawise) string {
	prefix := *nw.extender
	prefix.Host = t.listener.Addr().String()
	return prefix.String()
}

// retarget leads connections that are made from now on to another numawise.
func (t *tee) retarget(nw *numawise) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.target = nw.extender.Host
}

func (t *tee) connections() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.links)
}

func (t *tee) serve() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.mu.Lock()
		l := &link{}
		t.links = append(t.links, l)
		target := t.target
		t.mu.Unlock()
		go l.carry(client, target)
	}
}

func (l *link) carry(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		// A reset is what a client of a dead server sees at worst.
		_ = client.(*net.TCPConn).SetLinger(0)
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	copyAndKeep := func(to net.Conn, from net.Conn, kept *bytes.Buffer) {
		_, _ = io.Copy(io.MultiWriter(&locked{&l.mu, kept}, to), from)
		done <- struct{}{}
	}
	go copyAndKeep(server, client, &l.asked)
	go copyAndKeep(client, server, &l.answer)
	<-done // one side has closed: so does the other
}

type locked struct {
	mu     *sync.Mutex
	buffer *bytes.Buffer
}

func (w *locked) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.Write(data)
}

// exchanges are the calls that have been answered in full, oldest first on each connection.
func (t *tee) exchanges() ([]exchange, error) {
	t.mu.Lock()
	links := t.links
	t.mu.Unlock()
	var all []exchange
	for _, l := range links {
		found, err := l.exchanges()
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (l *link) exchanges() ([]exchange, error) {
	l.mu.Lock()
	asked := bufio.NewReader(bytes.NewReader(bytes.Clone(l.asked.Bytes())))
	answer := bufio.NewReader(bytes.NewReader(bytes.Clone(l.answer.Bytes())))
	l.mu.Unlock()
	var all []exchange
	for {
		one, err := readExchange(asked, answer)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return all, nil // nothing more yet, or its end is still under way
		}
		if err != nil {
			return nil, err
		}
		all = append(all, *one)
	}
}

func readExchange(asked, answer *bufio.Reader) (*exchange, error) {
	request, err := http.ReadRequest(asked)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(answer, request)
	if err != nil {
		return nil, err
	}
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	one := &exchange{status: response.StatusCode}
	one.verb = request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]
	if err := json.Unmarshal(body, &one.args); err != nil {
		return nil, fmt.Errorf("the request's body: %w", err)
	}
	one.pod = one.args.Pod.Namespace + "/" + one.args.Pod.Name
	if one.status != http.StatusOK {
		return one, nil
	}
	if one.verb == "filter" {
		err = json.Unmarshal(reply, &one.filter)
	} else {
		err = json.Unmarshal(reply, &one.scores)
	}
	if err != nil {
		return nil, fmt.Errorf("the reply to %s: %w", one.verb, err)
	}
	return one, nil
}

// askedNodes are the names in the request, whichever mode it is.
func (e *exchange) askedNodes() []string {
	if e.args.NodeNames != nil {
		return *e.args.NodeNames
	}
	return nodeNames(e.args.Nodes)
}

// passedNodes are the names that filter let through.
func (e *exchange) passedNodes() []string {
	if e.filter.NodeNames != nil {
		return *e.filter.NodeNames
	}
	return nodeNames(e.filter.Nodes)
}
