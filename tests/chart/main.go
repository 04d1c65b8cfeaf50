// SPDX-License-Identifier: Apache-2.0

// The chart of deploy/chart by Helm's own engine: what it renders is what deploy/manifests and
// deploy/kube-scheduler say, object by object, whatever is switched on; numawise takes the settings
// in it, and values that are misspelt are refused.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

type suite struct {
	deploy   string // the folder deploy of the source tree
	numawise string // the program
	out      string // what is rendered is written here, for tests/e2e
	chart    *chart.Chart
	lenient  bool // as Helm is: what is not there is empty

	passed, failed int
}

func main() {
	s := &suite{}
	source := flag.String("source", "", "the top of numawise's source tree")
	flag.StringVar(&s.numawise, "numawise", "", "the numawise program")
	flag.StringVar(&s.out, "out", "", "an empty directory for what is rendered")
	flag.Parse()
	if *source == "" || s.numawise == "" || s.out == "" {
		flag.Usage()
		os.Exit(2)
	}
	s.deploy = filepath.Join(*source, "deploy")
	var err error
	s.chart, err = loader.LoadDir(filepath.Join(s.deploy, "chart", "numawise"))
	if s.check("Helm loads the chart", err) {
		s.playCases()
		s.playRenamed()
		s.playFault()
		s.playKustomize()
		s.playHardened()
		s.playRefusals()
		s.playUnsigned()
		s.playValues()
		s.playTakenAway()
		s.playLines()
		s.playPackage()
		s.playNotes()
	}
	fmt.Printf("%d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		os.Exit(1)
	}
}

// check prints and counts one fact.
func (s *suite) check(what string, err error) bool {
	if err != nil {
		s.failed++
		fmt.Printf("FAIL  %s\n%s\n", what, err)
		return false
	}
	s.passed++
	fmt.Printf("ok    %s\n", what)
	return true
}
