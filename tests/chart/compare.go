// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	sigsyaml "sigs.k8s.io/yaml"
)

// What the chart adds to labels. To a selector it adds the instance only.
var added = []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/part-of",
	"app.kubernetes.io/managed-by", "helm.sh/chart"}

// plain is the object as somebody would write it who has no Helm: without what the chart adds, and
// with the YAML in a ConfigMap as a tree.
func plain(o object) (object, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var copied map[string]any
	if err := json.Unmarshal(text, &copied); err != nil {
		return nil, err
	}
	without(copied)
	c := object(copied)
	if meta, ok := c.at("metadata").(map[string]any); ok && c.text("kind") != "Namespace" && c.at("spec", "template") == nil {
		delete(meta, "labels") // the plain ones have none
	}
	if notes, ok := c.at("spec", "template", "metadata", "annotations").(map[string]any); ok {
		delete(notes, "checksum/config")
	}
	if data, ok := c.at("data").(map[string]any); ok && c.text("kind") == "ConfigMap" {
		for key, value := range data {
			var tree any
			if err := sigsyaml.UnmarshalStrict([]byte(value.(string)), &tree); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", o.key(), key, err)
			}
			data[key] = tree
		}
	}
	return c, nil
}

// without takes what the chart adds out of every map of labels, at any depth. Of a Namespace and of
// what has pods the component stays, and of a Namespace the instance's component goes.
func without(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range added {
			delete(v, key)
		}
		for _, value := range v {
			without(value)
		}
	case []any:
		for _, value := range v {
			without(value)
		}
	}
}

// difference says where two trees part; empty: nowhere.
func difference(path string, want, got any) string {
	a, inA := want.(map[string]any)
	b, inB := got.(map[string]any)
	if inA && inB {
		var all []string
		for key := range a {
			all = append(all, key)
		}
		for key := range b {
			if _, both := a[key]; !both {
				all = append(all, key)
			}
		}
		sort.Strings(all)
		for _, key := range all {
			if d := difference(path+"."+key, a[key], b[key]); d != "" {
				return d
			}
		}
		return ""
	}
	la, inA := want.([]any)
	lb, inB := got.([]any)
	if inA && inB && len(la) == len(lb) {
		for i := range la {
			if d := difference(fmt.Sprintf("%s[%d]", path, i), la[i], lb[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if reflect.DeepEqual(want, got) {
		return ""
	}
	x, _ := json.Marshal(want)
	y, _ := json.Marshal(got)
	return fmt.Sprintf("%s: plain %s, chart %s", strings.TrimPrefix(path, "."), x, y)
}

// same: the same objects, each with the same content; the order does not matter.
func same(want, got []object) error {
	theirs := map[string]object{}
	var errs []error
	for _, o := range got {
		p, err := plain(o)
		if err != nil {
			return err
		}
		if _, twice := theirs[o.key()]; twice {
			errs = append(errs, fmt.Errorf("%s: rendered twice", o.key()))
		}
		theirs[o.key()] = p
	}
	for _, o := range want {
		p, err := plain(o)
		if err != nil {
			return err
		}
		other, there := theirs[o.key()]
		if !there {
			errs = append(errs, fmt.Errorf("%s: the chart has none", o.key()))
			continue
		}
		delete(theirs, o.key())
		if d := difference("", map[string]any(p), map[string]any(other)); d != "" {
			errs = append(errs, fmt.Errorf("%s: %s", o.key(), d))
		}
	}
	for key := range theirs {
		errs = append(errs, fmt.Errorf("%s: only the chart has it", key))
	}
	return errors.Join(errs...)
}
