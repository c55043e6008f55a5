package fcgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"wsfpm/fcgi"
	"wsfpm/test/fcgitest"
)

// One script, run once, with an answer that is known to be whole.
func ExamplePool_Do() {
	server := fcgitest.NewServer(fcgitest.Echo, fcgitest.Options{})
	defer server.Close()

	pool, err := fcgi.NewPool(fcgi.Config{Address: server.Address, MaxConnections: 4, QueueWait: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close(context.Background())

	env, err := fcgi.NewEnv(map[string]string{"SCRIPT_FILENAME": "/srv/app/chat.php"})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := pool.Do(context.Background(), &fcgi.Request{
		Env:  env,
		Vars: []fcgi.Var{{Name: "REQUEST_METHOD", Value: "POST"}, {Name: "WS_EVENT", Value: "message"}},
		Body: []byte("hello"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := resp.ReadAll()
	fmt.Println(resp.Status, resp.Header.Get("Content-Type"), string(body), err)
	// Output: 200 text/plain hello <nil>
}

// An answer that PHP flushes piece by piece.
func ExampleResponse_Next() {
	server := fcgitest.NewServer(func(w *fcgitest.Writer, _ *fcgitest.Request) {
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\n")
		w.Stdout("{\"n\":1}\n")
		w.Stdout("{\"n\":2}\n")
	}, fcgitest.Options{})
	defer server.Close()
	pool, _ := fcgi.NewPool(fcgi.Config{Address: server.Address, MaxConnections: 4, QueueWait: 10 * time.Second})
	defer pool.Close(context.Background())
	env, _ := fcgi.NewEnv(map[string]string{"SCRIPT_FILENAME": "/srv/app/feed.php"})

	resp, err := pool.Do(context.Background(), &fcgi.Request{Env: env})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Close()
	resp.SetStream(30*time.Second, 10*time.Minute)
	for {
		piece, err := resp.Next()
		if err == io.EOF {
			fmt.Println("the end")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(string(piece))
	}
	// Output:
	// {"n":1}
	// {"n":2}
	// the end
}

// Every error says whether the script may have run.
func ExampleError() {
	pool, _ := fcgi.NewPool(fcgi.Config{Address: "/run/php/none.sock", MaxConnections: 4, QueueWait: 10 * time.Millisecond})
	defer pool.Close(context.Background())
	env, _ := fcgi.NewEnv(map[string]string{"SCRIPT_FILENAME": "/srv/app/chat.php"})

	_, err := pool.Do(context.Background(), &fcgi.Request{Env: env, ID: "c1-7"})
	var failure *fcgi.Error
	if errors.As(err, &failure) && errors.Is(err, fcgi.ErrUnavailable) {
		fmt.Println(failure.Phase, failure.Sent)
	}
	fmt.Println(err)
	// Output:
	// dial no
	// fcgi: connect for /srv/app/chat.php (request c1-7): application server unreachable: dial unix /run/php/none.sock: connect: no such file or directory; the script did not run
}
