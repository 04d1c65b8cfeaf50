// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
)

const definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// An object of any kind, as JSON and as a tree, in which large numbers are not exact.
type anyObject struct {
	text []byte
	tree map[string]any
}

func (o *anyObject) at(path ...string) any {
	var v any = o.tree
	for _, key := range path {
		tree, _ := v.(map[string]any)
		v = tree[key]
	}
	return v
}

func (o *anyObject) name(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

// install creates a CustomResourceDefinition and waits until it is served; the API server must have
// no complaint about it.
func (cp *controlPlane) install(ctx context.Context, crd *anyObject) error {
	if _, err := cp.post(ctx, definitionsPath, crd.text); err != nil {
		return err
	}
	return eventually(patience, func() error {
		var shown struct {
			Status struct{ Conditions []metav1.Condition }
		}
		text, err := cp.get(ctx, definitionsPath+"/"+crd.name("metadata", "name"), "application/json")
		if err == nil {
			err = json.Unmarshal(text, &shown)
		}
		if err != nil {
			return err
		}
		is := map[string]metav1.ConditionStatus{}
		for _, c := range shown.Status.Conditions {
			is[c.Type] = c.Status
		}
		// Approval is asked of the groups of Kubernetes only.
		if is["Established"] != "True" || is["NonStructuralSchema"] == "True" || is["KubernetesAPIApprovalPolicyConformant"] == "False" {
			return fmt.Errorf("%+v", shown.Status.Conditions)
		}
		return nil
	})
}

// postManifest posts an object of any kind as kubectl would, strictly.
func (cp *controlPlane) postManifest(ctx context.Context, o *anyObject, dryRun bool) error {
	api := o.name("apiVersion")
	list, err := cp.client.Discovery().ServerResourcesForGroupVersion(api)
	if err != nil {
		return err
	}
	for _, resource := range list.APIResources {
		if resource.Kind != o.name("kind") || strings.Contains(resource.Name, "/") {
			continue
		}
		path := "/apis/" + api + "/"
		if api == "v1" {
			path = "/api/v1/"
		}
		if resource.Namespaced {
			namespace := o.name("metadata", "namespace")
			if namespace == "" {
				return errors.New("it has no namespace")
			}
			path += "namespaces/" + namespace + "/"
		}
		query := "?fieldValidation=Strict"
		if dryRun {
			query += "&dryRun=All"
		}
		_, err := cp.post(ctx, path+resource.Name+query, o.text)
		return err
	}
	return fmt.Errorf("the API server has no %s", o.name("kind"))
}

func (cp *controlPlane) get(ctx context.Context, path, accept string) ([]byte, error) {
	return cp.call(ctx, http.MethodGet, path, accept, nil)
}

func (cp *controlPlane) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return cp.call(ctx, http.MethodPost, path, "application/json", body)
}

// call asks in JSON, which the client of built-in kinds does not, over that client's connection.
func (cp *controlPlane) call(ctx context.Context, method, path, accept string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, cp.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Content-Type", "application/json")
	reply, err := cp.client.CoreV1().RESTClient().(*rest.RESTClient).Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode < 300 {
		return text, err
	}
	said := &apierrors.StatusError{}
	if json.Unmarshal(text, &said.ErrStatus) == nil && said.ErrStatus.Code != 0 {
		return nil, said
	}
	return nil, fmt.Errorf("%s %s: %s: %s", method, path, reply.Status, text)
}

// loadObjects reads the documents of a file.
func loadObjects(file string) ([]*anyObject, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []*anyObject
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if len(raw.Raw) == 0 { // comments
			continue
		}
		o := &anyObject{text: raw.Raw}
		if err := json.Unmarshal(raw.Raw, &o.tree); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if o.tree != nil {
			objects = append(objects, o)
		}
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: nothing is in it", file)
	}
	return objects, nil
}
