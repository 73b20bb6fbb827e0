// SPDX-License-Identifier: MIT

package main

import (
	"runtime"
	"sync"
	"syscall"
)

var chanBenches = []bench{
	{"chan.pingpong", "unbuffered", 1, func(n int) float64 { return pingpong(n, false) }},
	{"chan.pingpong2", "unbuffered, LockOSThread", 2, func(n int) float64 { return pingpong(n, true) }},
	{"chan.buffered", "cap 128", 1, buffered},
	{"chan.buffered2", "cap 128", 2, buffered},
	{"chan.buffered2.spsc", "cap 128", 2, buffered},
	{"chan.sieve", "unbuffered", 1, sieve},
	{"chan.sieve.w2", "unbuffered", 2, sieve},
}

func pingpong(n int, locked bool) float64 {
	var wg sync.WaitGroup
	there, back := make(chan int), make(chan int)
	wg.Add(1)
	go func() {
		if locked {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		for v := range there {
			back <- v + 1
		}
		wg.Done()
	}()
	if locked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	v := 0
	ns := timed(func() {
		for range n {
			there <- v
			v = <-back
		}
	})
	close(there)
	wg.Wait()
	return check(ns, v == n)
}

func buffered(n int) float64 {
	sum := 0
	ns := timed(func() {
		c := make(chan int, 128)
		go func() {
			for i := range n {
				c <- i
			}
			close(c)
		}()
		for v := range c {
			sum += v
		}
	})
	return check(ns, sum == n*(n-1)/2)
}

// cpu gives the CPU time of this process, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// sieve leaves its goroutines behind: it is asked once of a process.
func sieve(int) float64 {
	began := cpu()
	in := make(chan int)
	go func(out chan<- int) {
		for i := 2; ; i++ {
			out <- i
		}
	}(in)
	prime := 0
	for range 2000 {
		prime = <-in
		out := make(chan int)
		go func(in <-chan int, out chan<- int, prime int) {
			for v := range in {
				if v%prime != 0 {
					out <- v
				}
			}
		}(in, out, prime)
		in = out
	}
	return check(cpu()-began, prime == 17389)
}
