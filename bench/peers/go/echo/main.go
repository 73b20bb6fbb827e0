// SPDX-License-Identifier: MIT

// Go's echo server: a goroutine for each connection.  echo [WORKERS]
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
)

func serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err = conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func main() {
	workers := 1
	if len(os.Args) > 1 {
		workers, _ = strconv.Atoi(os.Args[1])
	}
	runtime.GOMAXPROCS(workers)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("listening at %s, go %s\n", listener.Addr(), strings.TrimPrefix(runtime.Version(), "go"))
	for {
		if conn, err := listener.Accept(); err == nil {
			go serve(conn)
		}
	}
}
