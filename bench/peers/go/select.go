// SPDX-License-Identifier: MIT

package main

import "sync"

var selectBenches = []bench{
	{"select.2", "unbuffered", 1, select2},
	{"select.8", "unbuffered", 1, func(n int) float64 { return select8(n, aProducerEach) }},
	{"select.8park", "unbuffered", 1, func(n int) float64 { return select8(n, oneProducer) }},
}

// aProducerEach starts a producer for each channel; the number of messages sent.
func aProducerEach(wg *sync.WaitGroup, chans []chan int, n int) int {
	each := n/len(chans) + 1
	for _, c := range chans {
		wg.Go(func() {
			for range each {
				c <- 1
			}
		})
	}
	return each * len(chans)
}

// oneProducer sends to the channels in turn.
func oneProducer(wg *sync.WaitGroup, chans []chan int, n int) int {
	wg.Go(func() {
		for i := range n {
			chans[i%len(chans)] <- 1
		}
	})
	return n
}

func makeChans(n int) []chan int {
	chans := make([]chan int, n)
	for i := range chans {
		chans[i] = make(chan int)
	}
	return chans
}

func select2(n int) float64 {
	c := makeChans(2)
	c0, c1 := c[0], c[1]
	sum, total := 0, 0
	ns := timed(func() {
		var wg sync.WaitGroup
		total = aProducerEach(&wg, c, n)
		for range total {
			select {
			case v := <-c0:
				sum += v
			case v := <-c1:
				sum += v
			}
		}
		wg.Wait()
	})
	return check(ns*float64(n)/float64(total), sum == total)
}

func select8(n int, start func(*sync.WaitGroup, []chan int, int) int) float64 {
	c := makeChans(8)
	c0, c1, c2, c3, c4, c5, c6, c7 := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
	sum, total := 0, 0
	ns := timed(func() {
		var wg sync.WaitGroup
		total = start(&wg, c, n)
		for range total {
			select {
			case v := <-c0:
				sum += v
			case v := <-c1:
				sum += v
			case v := <-c2:
				sum += v
			case v := <-c3:
				sum += v
			case v := <-c4:
				sum += v
			case v := <-c5:
				sum += v
			case v := <-c6:
				sum += v
			case v := <-c7:
				sum += v
			}
		}
		wg.Wait()
	})
	return check(ns*float64(n)/float64(total), sum == total)
}
