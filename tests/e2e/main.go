// SPDX-License-Identifier: Apache-2.0

// The end-to-end suite of numawise: a real etcd, kube-apiserver and kube-scheduler with numawise
// as their scheduler extender, on loopback. The servers are subcommands of this one
// program, which starts itself, so that each is a process that can be watched and killed.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usageText = `usage: e2e suite --numawise FILE --source DIR --work DIR
       e2e throughput --numawise FILE --bench DIR --work DIR [--small | FLAGS]
       e2e live --numawise FILE --source DIR --work DIR [--small | FLAGS]
       e2e etcd DIR ADDRESS_FILE | kube-apiserver FLAGS | kube-scheduler FLAGS | kube-controller-manager FLAGS
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usageText)
		os.Exit(2)
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "suite":
		os.Exit(suiteMain(args))
	case "throughput":
		os.Exit(throughputMain(args))
	case "live":
		os.Exit(liveMain(args))
	case "etcd":
		os.Exit(etcdMain(args))
	case "kube-apiserver":
		command := apiserver.NewAPIServerCommand()
		command.SetArgs(args)
		os.Exit(cli.Run(command))
	case "kube-controller-manager":
		command := controllers.NewControllerManagerCommand()
		command.SetArgs(args)
		os.Exit(cli.Run(command))
	case "kube-scheduler":
		command := scheduler.NewSchedulerCommand()
		command.SetArgs(args)
		os.Exit(cli.Run(command))
	}
	fmt.Fprint(os.Stderr, usageText)
	os.Exit(2)
}
