// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

var taskBenches = []bench{
	{"task.yield2", "Gosched", 1, func(n int) float64 { return yieldMany(2, n/2+1, n) }},
	{"task.yield10k", "Gosched", 1, func(n int) float64 { return yieldMany(10000, max(n/10000, 100), n) }},
	{"task.spawn", "WaitGroup", 1, spawn},
	{"task.spawn.w2", "WaitGroup", 2, spawn},
	{"task.spawn10k", "WaitGroup", 1, spawn10k},
	{"task.spawn10k.w2", "WaitGroup", 2, spawn10k},
	{"task.skynet", "WaitGroup", 1, skynet},
	{"task.skynet.w2", "WaitGroup", 2, skynet},
	{"task.skynet.chan", "unbuffered chan", 1, skynetChan},
	{"task.skynet.chan.w2", "unbuffered chan", 2, skynetChan},
	{"task.parked.100k", "in a receive", 1, func(int) float64 { return parked(100000) }},
	{"task.parked", "in a receive", 1, func(int) float64 { return parked(1000000) }},
}

// yieldMany lets tasks goroutines yield rounds times each; the time for n yields.
func yieldMany(tasks, rounds, n int) float64 {
	return timed(func() {
		var wg sync.WaitGroup
		wg.Add(tasks)
		for range tasks {
			go func() {
				for range rounds {
					runtime.Gosched()
				}
				wg.Done()
			}()
		}
		wg.Wait()
	}) * float64(n) / float64(tasks*rounds)
}

func spawn(n int) float64 {
	return timed(func() {
		var wg sync.WaitGroup
		for range n {
			wg.Add(1)
			go wg.Done()
			wg.Wait()
		}
	})
}

func spawn10k(n int) float64 {
	const many = 10000
	rounds := max(n/many, 1)
	batch := func() {
		var wg sync.WaitGroup
		wg.Add(many)
		for range many {
			go wg.Done()
		}
		wg.Wait()
	}
	batch()
	return timed(func() {
		for range rounds {
			batch()
		}
	}) * float64(n) / float64(rounds*many)
}

const skynetLeaves, skynetSum = 1000000, 499999500000

func skynetNode(out *int, num, size int, parent *sync.WaitGroup) {
	defer parent.Done()
	if size == 1 {
		*out = num
		return
	}
	var wg sync.WaitGroup
	var results [10]int
	size /= 10
	wg.Add(10)
	for i := range 10 {
		go skynetNode(&results[i], num+i*size, size, &wg)
	}
	wg.Wait()
	sum := 0
	for _, v := range results {
		sum += v
	}
	*out = sum
}

func skynet(n int) float64 {
	right := true
	ns := timed(func() {
		for range n {
			var wg sync.WaitGroup
			var sum int
			wg.Add(1)
			go skynetNode(&sum, 0, skynetLeaves, &wg)
			wg.Wait()
			right = right && sum == skynetSum
		}
	})
	return check(ns, right)
}

func skynetChanNode(out chan<- int, num, size int) {
	if size == 1 {
		out <- num
		return
	}
	in := make(chan int)
	size /= 10
	for i := range 10 {
		go skynetChanNode(in, num+i*size, size)
	}
	sum := 0
	for range 10 {
		sum += <-in
	}
	out <- sum
}

func skynetChan(n int) float64 {
	right := true
	ns := timed(func() {
		for range n {
			out := make(chan int)
			go skynetChanNode(out, 0, skynetLeaves)
			right = right && <-out == skynetSum
		}
	})
	return check(ns, right)
}

func check(figure float64, right bool) float64 {
	if !right {
		return -1
	}
	return figure
}

// memoryNow gives the private memory and page tables of this process, in bytes.
func memoryNow() float64 {
	kib := 0
	for _, path := range []string{"/proc/self/smaps_rollup", "/proc/self/status"} {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		for in := bufio.NewScanner(file); in.Scan(); {
			key, value, _ := strings.Cut(in.Text(), ":")
			var n int
			switch key {
			case "Private_Clean", "Private_Dirty", "VmPTE":
				fmt.Sscan(value, &n)
				kib += n
			}
		}
		file.Close()
	}
	return float64(kib) * 1024
}

func parked(many int) float64 {
	before := memoryNow()
	gate := make(chan struct{})
	var started sync.WaitGroup
	started.Add(many)
	for range many {
		go func() {
			started.Done()
			<-gate
		}()
	}
	started.Wait()
	time.Sleep(100 * time.Millisecond)
	bytes := (memoryNow() - before) / float64(many)
	close(gate)
	return bytes
}
