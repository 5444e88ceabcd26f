package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/doorward/doorward/bench/proc"
)

// process is a server that the benchmark starts, and how long that took.
type process struct {
	name  string
	make  func() *exec.Cmd
	log   string // the file that it writes to
	ready string // the address that answers with 200 once it is ready
	cmd   *exec.Cmd

	starts []time.Duration
	idle   proc.Memory
}

// start starts the server and returns how long it took until it was ready.
func (p *process) start(ctx context.Context) (time.Duration, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	p.cmd = p.make()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for ctx.Err() == nil && time.Since(began) < 20*time.Second {
		answer, err := client.Get(p.ready)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return time.Since(began), nil
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	text, _ := os.ReadFile(p.log)
	return 0, errors.Join(fmt.Errorf("%s: the server does not become ready\n%s", p.name, text), p.stop())
}

// starting starts the server several times, and lets the last one run.
func (p *process) starting(ctx context.Context, times int) error {
	for n := range times {
		took, err := p.start(ctx)
		if err != nil {
			return err
		}
		p.starts = append(p.starts, took)
		if n < times-1 {
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	p.cmd = nil
	stuck := time.AfterFunc(40*time.Second, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	return nil
}
