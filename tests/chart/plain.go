// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// playKustomize: `kubectl apply -k deploy/manifests` is what the chart has by default.
func (s *suite) playKustomize() {
	chart, _, err := s.render(shipped, "")
	built, e := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(s.deploy, "manifests"))
	if err = errors.Join(err, e); err == nil {
		err = s.kustomized(built.AsYaml, chart)
	}
	s.check("kustomize makes of deploy/manifests what the chart has by default", err)
}

func (s *suite) kustomized(built func() ([]byte, error), chart []object) error {
	text, err := built()
	if err != nil {
		return err
	}
	objects, err := decode(text)
	if err != nil {
		return err
	}
	// The namespace is there before the release is, and there is no chart to ask for the lines.
	drop(func(o object) bool { return o.key() == "v1 Namespace /numawise-system" })(&objects)
	drop(func(o object) bool { return o.text("metadata", "name") == "numawise-kube-scheduler" })(&chart)
	return same(objects, chart)
}
