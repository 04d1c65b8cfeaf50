// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// An object as a tree.
type object map[string]any

// at is what stands there; nil where there is nothing.
func (o object) at(path ...string) any {
	var v any = map[string]any(o)
	for _, key := range path {
		tree, _ := v.(map[string]any)
		v = tree[key]
	}
	return v
}

func (o object) text(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

func (o object) key() string {
	return fmt.Sprintf("%s %s %s/%s", o.text("apiVersion"), o.text("kind"), o.text("metadata", "namespace"), o.text("metadata", "name"))
}

type release struct{ name, namespace string }

var shipped = release{"numawise", "numawise-system"}

// render is what `helm install` would send, and the notes. Several documents of values are like
// several -f: the last one counts.
func (s *suite) render(r release, values string) ([]object, string, error) {
	own := map[string]any{}
	for _, document := range strings.Split(values, "---\n") {
		over := map[string]any{}
		if err := sigsyaml.UnmarshalStrict([]byte(document), &over); err != nil {
			return nil, "", err
		}
		overlay(own, over)
	}
	if err := chartutil.ProcessDependenciesWithMerge(s.chart, own); err != nil {
		return nil, "", err
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	all, err := chartutil.ToRenderValues(s.chart, own, chartutil.ReleaseOptions{Name: r.name, Namespace: r.namespace, IsInstall: true, Revision: 1}, caps)
	if err != nil {
		return nil, "", err
	}
	files, err := engine.Engine{Strict: !s.lenient}.Render(s.chart, all)
	if err != nil {
		return nil, "", err
	}
	var objects []object
	notes := ""
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes = text
			continue
		}
		found, err := decode([]byte(text))
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w\n%s", name, err, text)
		}
		objects = append(objects, found...)
	}
	return objects, notes, nil
}

// overlay puts values over others, as another -f does: a null stays, and takes the default away.
func overlay(own, over map[string]any) {
	for key, value := range over {
		tree, isTree := value.(map[string]any)
		under, isUnder := own[key].(map[string]any)
		if isTree && isUnder {
			overlay(under, tree)
		} else {
			own[key] = value
		}
	}
}

// decode reads documents; a key that is there twice is an error.
func decode(text []byte) ([]object, error) {
	var objects []object
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		o := object{}
		if err := sigsyaml.UnmarshalStrict(document, &o); err != nil {
			return nil, err
		}
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
}

func load(file string) ([]object, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	objects, err := decode(text)
	if err == nil && len(objects) == 0 {
		err = errors.New("nothing is in it")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return objects, err
}

func encode(objects []object) ([]byte, error) {
	var all bytes.Buffer
	for _, o := range objects {
		text, err := sigsyaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		all.WriteString("---\n")
		all.Write(text)
	}
	return all.Bytes(), nil
}
