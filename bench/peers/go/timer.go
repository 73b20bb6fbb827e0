// SPDX-License-Identifier: MIT

package main

import (
	"sync"
	"time"
)

var timerBenches = []bench{
	{"timer.million", "time.Sleep", 2, func(int) float64 { return million() }},
	{"timer.million.warm", "time.Sleep", 2, func(int) float64 { million(); return million() }},
}

// million lets 1,000,000 goroutines sleep 1 to 1,000 ms; in seconds.
func million() float64 {
	random := uint64(88172645463325252)
	return timed(func() {
		var wg sync.WaitGroup
		for range 1000000 {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			d := time.Duration(1+(random>>33)%1000) * time.Millisecond
			wg.Go(func() { time.Sleep(d) })
		}
		wg.Wait()
	}) / 1e9
}
