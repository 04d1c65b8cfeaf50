// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the objects of tests/data/policies are that are in a namespace.
const shop = "shop"

// What the API server is told of a kind of ours.
type definition struct{ path, kind, column, shortName string }

// playDefinitions: the API server takes our CustomResourceDefinitions as they are, what is valid
// and nothing else; and what it hands back changes verdicts.
func (s *suite) playDefinitions(ctx context.Context) {
	kinds, err := s.define(ctx)
	if !s.check(fmt.Sprintf("%d CustomResourceDefinitions are established, and none is unstructured", len(kinds)), err) {
		return
	}
	if err := (&manifests{namespaces: map[string]bool{shop: true}}).create(ctx, s.cp); err != nil {
		s.check("there is a namespace", err)
		return
	}
	for _, file := range []string{"valid", "locks-valid"} {
		objects, err := loadObjects(filepath.Join(s.data, "..", "policies", file+".yaml"))
		for _, o := range objects {
			err = errors.Join(err, s.acceptable(ctx, kinds, o))
		}
		s.check(fmt.Sprintf("%d objects at the ends of what the rules allow are valid (%s.yaml)", len(objects), file), err)
	}
	for _, file := range []string{"invalid", "locks-invalid"} {
		objects, err := loadObjects(filepath.Join(s.data, "..", "policies", file+".yaml"))
		for _, o := range objects {
			err = errors.Join(err, s.refused(ctx, kinds, o))
		}
		s.check(fmt.Sprintf("%d that break a rule each are refused in the field that is wrong (%s.yaml)", len(objects), file), err)
	}
	s.check("the specification's example is shown in columns, and changes verdicts as it comes back",
		s.playExample(ctx, kinds))
}

// define applies deploy/crds; by "group/version kind" what came of it.
func (s *suite) define(ctx context.Context) (map[string]definition, error) {
	files, err := filepath.Glob(filepath.Join(s.data, "..", "..", "..", "deploy", "crds", "*.yaml"))
	kinds := map[string]definition{}
	for _, file := range files {
		objects, err := loadObjects(file)
		if err != nil {
			return nil, err
		}
		for _, crd := range objects {
			if err := s.cp.install(ctx, crd); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if !strings.HasSuffix(crd.name("spec", "group"), ".gokore.io") {
				continue // NodeResourceTopology
			}
			version := crd.at("spec", "versions").([]any)[0].(map[string]any)
			api := crd.name("spec", "group") + "/" + version["name"].(string)
			column := version["additionalPrinterColumns"].([]any)[0].(map[string]any)["name"].(string)
			path := "/apis/" + api + "/"
			if crd.name("spec", "scope") == "Namespaced" {
				path += "namespaces/" + shop + "/"
			}
			kind := crd.name("spec", "names", "kind")
			kinds[api+" "+kind] = definition{path + crd.name("spec", "names", "plural"), kind, column,
				crd.at("spec", "names", "shortNames").([]any)[0].(string)}
		}
	}
	if err == nil && len(kinds) == 0 {
		err = errors.New("there are none")
	}
	return kinds, err
}

// try posts an object as kubectl would, but has nothing kept. The API is there a moment after its
// definition is established.
func (s *suite) try(ctx context.Context, kinds map[string]definition, o *anyObject) error {
	kind, known := kinds[o.name("apiVersion")+" "+o.name("kind")]
	if !known {
		return fmt.Errorf("%s: nobody defines %s %s", o.name("metadata", "name"), o.name("apiVersion"), o.name("kind"))
	}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		_, err = s.cp.post(ctx, kind.path+"?dryRun=All&fieldValidation=Strict", o.text)
		if !apierrors.IsNotFound(err) {
			break
		}
	}
	return err
}

func (s *suite) acceptable(ctx context.Context, kinds map[string]definition, o *anyObject) error {
	if err := s.try(ctx, kinds, o); err != nil {
		return fmt.Errorf("%s: %w", o.name("metadata", "name"), err)
	}
	return nil
}

// refused: with a cause in the field that the object's annotation names, or in words that name it.
func (s *suite) refused(ctx context.Context, kinds map[string]definition, o *anyObject) error {
	name, field := o.name("metadata", "name"), o.name("metadata", "annotations", "field")
	err := s.try(ctx, kinds, o)
	var status *apierrors.StatusError
	if err == nil {
		return fmt.Errorf("%s: taken, with a wrong %s", name, field)
	}
	if !errors.As(err, &status) || field == "" || (status.ErrStatus.Code != http.StatusUnprocessableEntity && status.ErrStatus.Code != http.StatusBadRequest) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if details := status.ErrStatus.Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Field == field || strings.HasPrefix(cause.Field, field+".") || strings.HasPrefix(cause.Field, field+"[") {
				return nil
			}
		}
	}
	if strings.Contains(status.ErrStatus.Message, field) {
		return nil
	}
	return fmt.Errorf("%s: %s is wrong, and not named: %w", name, field, err)
}

// playExample keeps the specification's example, looks at it as a table, and gives numawise what
// the API server made of it.
func (s *suite) playExample(ctx context.Context, kinds map[string]definition) error {
	objects, err := loadObjects(filepath.Join(s.data, "..", "policies", "specification.yaml"))
	if err != nil {
		return err
	}
	example := objects[0]
	kind := kinds[example.name("apiVersion")+" "+example.name("kind")]
	kept, err := s.cp.post(ctx, kind.path, example.text)
	if err != nil {
		return err
	}
	if err := s.tabulated(ctx, kind, example.name("metadata", "name")); err != nil {
		return err
	}
	pod := pinned("alone", 4, "")
	pod.Annotations = map[string]string{"orchestration.gokore.io/qos-class": "critical"}
	before, err := explain(s.binary, s.work, s.cluster, pod)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.cluster, "example.json"), kept); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(s.cluster, "example.json")) }()
	after, err := explain(s.binary, s.work, s.cluster, pod)
	if err != nil {
		return err
	}
	changed := []string{}
	for _, name := range s.all {
		was, is := before.node(name), after.node(name)
		if was == nil || is == nil {
			return fmt.Errorf("explain does not mention node %s", name)
		}
		if was.passes() && is.Reason == "NumaExclusive" {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return errors.New("no verdict changes")
	}
	fmt.Printf("        class critical, NumaExclusive on %s\n", strings.Join(changed, ", "))
	return nil
}

// tabulated: the kind's first column is in the table that kubectl would print, and so is its row.
func (s *suite) tabulated(ctx context.Context, kind definition, name string) error {
	text, err := s.cp.get(ctx, kind.path, "application/json;as=Table;v=v1;g=meta.k8s.io")
	if err != nil {
		return err
	}
	var table metav1.Table
	if err := json.Unmarshal(text, &table); err != nil {
		return err
	}
	if len(table.ColumnDefinitions) < 2 || table.ColumnDefinitions[1].Name != kind.column {
		return fmt.Errorf("columns %+v", table.ColumnDefinitions)
	}
	if len(table.Rows) != 1 || table.Rows[0].Cells[0] != name || table.Rows[0].Cells[1] == nil {
		return fmt.Errorf("rows %s", text)
	}
	return nil
}
