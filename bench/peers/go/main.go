// SPDX-License-Identifier: MIT

// The Go peer of bench/, which speaks as bench/peer.h says.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

type bench struct {
	id, remark string
	procs      int
	run        func(n int) float64 // ns for n times, or the figure
}

var benches []bench

// timed gives the nanoseconds that f takes.
func timed(f func()) float64 {
	began := time.Now()
	f()
	return float64(time.Since(began))
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	add := func(list []bench) { benches = append(benches, list...) }
	add(taskBenches)
	add(chanBenches)
	add(selectBenches)
	add(timerBenches)

	fmt.Fprintln(out, "go", strings.TrimPrefix(runtime.Version(), "go"))
	for _, b := range benches {
		fmt.Fprintf(out, "%s GOMAXPROCS=%d, %s\n", b.id, b.procs, b.remark)
	}
	fmt.Fprintln(out)
	out.Flush()

	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var id string
		var n int
		ns := -1.0
		fmt.Sscan(in.Text(), &id, &n)
		for _, b := range benches {
			if b.id == id {
				runtime.GOMAXPROCS(b.procs)
				ns = b.run(n)
			}
		}
		fmt.Fprintln(out, ns)
		out.Flush()
	}
}
