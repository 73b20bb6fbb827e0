module arsenal.test/peer

go 1.26
