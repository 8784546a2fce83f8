package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

const (
	scanInterval = time.Second
	// lineLimit cuts long lines, chunk and batchLimit bound what one round reads: memory stays small whatever is
	// written.
	lineLimit  = 4 << 10
	chunk      = 64 << 10
	batchLimit = 512 << 10
	// lastTry is how long the delivery of what was written before SIGTERM may take.
	lastTry = 700 * time.Millisecond
)

// record is one line of a container's log, as the sink gets it.
type record struct {
	Node      string `json:"node"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Time      string `json:"time"`
	Text      string `json:"text"`
}

// tail is one log file that is followed.
type tail struct {
	link      string
	namespace string
	pod       string
	container string

	file  *os.File
	inode uint64
	// read is how far the file is read, sent how far it is delivered: that is what the position file says.
	read, sent int64
	// ending says that nothing more is written to the file: it is rotated, or its container is gone.
	ending bool
	// partial holds the beginning of a line that the container runtime has split, for each stream.
	partial map[string]string
}

// forwarder reads the logs of a node's containers and delivers them. It goes on reading only when what it has read
// is delivered, and keeps the positions in a file on the node: lines that were written while it was away arrive
// late, lines of files that went meanwhile are lost.
type forwarder struct {
	node      string
	folder    string
	positions string
	sink      *sink

	tails map[string]*tail
	// saved are the positions that the one before has left; nil when there was none.
	saved   map[string]position
	started bool
	buffer  []byte
	written string
}

type position struct {
	offset int64
	inode  uint64
}

func fluentd(flags *flag.FlagSet) func(ctx context.Context) error {
	url := flags.String("sink", "", "where logs are forwarded to: URL/logs")
	folder := flags.String("folder", "/var/log/containers", "the folder with the containers' logs")
	positions := flags.String("pos-file", "/var/log/kube-system-chaos-fluentd.pos", "the file with the positions")
	return func(ctx context.Context) error {
		target, err := newSink(*url, "/logs")
		if err != nil {
			return err
		}
		f := &forwarder{
			node: os.Getenv("NODE_NAME"), folder: *folder, positions: *positions, sink: target,
			tails: map[string]*tail{}, buffer: make([]byte, chunk),
		}
		f.saved, err = readPositions(*positions)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			klog.Errorf("the positions are lost: %v", err)
		}
		every(ctx, scanInterval, func() { f.round(ctx) })
		// What came since the last round is tried once more; what is not delivered, the next one delivers.
		last, cancel := context.WithTimeout(context.Background(), lastTry)
		defer cancel()
		f.round(last)
		return nil
	}
}

// round looks for new files and delivers what is there to be read.
func (f *forwarder) round(ctx context.Context) {
	f.scan()
	for more := true; more && ctx.Err() == nil; {
		var body bytes.Buffer
		more = f.read(&body)
		if body.Len() > 0 && !f.sink.deliver(ctx, body.Bytes()) {
			f.forget()
			return
		}
		f.commit()
	}
}

// scan compares what is followed with what is there. It only asks for names and sizes; nothing is read.
func (f *forwarder) scan() {
	names, err := namesIn(f.folder)
	if err != nil {
		klog.Errorf("cannot list the logs: %v", err)
		return
	}
	there := map[string]bool{}
	for _, name := range names {
		link := filepath.Join(f.folder, name)
		if filepath.Ext(name) != ".log" {
			continue
		}
		there[link] = true
		known := f.tails[link]
		if known == nil {
			f.follow(link)
			continue
		}
		info, err := os.Stat(link)
		if err != nil {
			// Between the two steps of a rotation, or the container is about to be removed.
			continue
		}
		if inodeOf(info) != known.inode {
			known.ending = true
		} else if info.Size() < known.read {
			known.read, known.sent = 0, 0
		}
	}
	for link, known := range f.tails {
		if !there[link] {
			known.ending = true
		}
	}
	f.started = true
	f.save()
}

// follow begins with a file: where the one before has ended, or at its start. Only what was there before anything
// ever followed it begins at its end.
func (f *forwarder) follow(link string) {
	pod, namespace, container, ok := namesOf(filepath.Base(link))
	if !ok {
		return
	}
	file, err := os.Open(link)
	if err != nil {
		return
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return
	}
	t := &tail{
		link: link, namespace: namespace, pod: pod, container: container,
		file: file, inode: inodeOf(info), partial: map[string]string{},
	}
	saved, known := f.saved[link]
	switch {
	case known && saved.inode == t.inode && saved.offset <= info.Size():
		t.read = saved.offset
	case f.saved == nil && !f.started:
		t.read = info.Size()
	}
	// Used once: after a rotation the file of this name is another one.
	delete(f.saved, link)
	t.sent = t.read
	f.tails[link] = t
}

// read adds to the body what has been written since; true when there is more than one round takes.
func (f *forwarder) read(body *bytes.Buffer) bool {
	more := false
	for _, t := range f.tails {
		if body.Len() >= batchLimit {
			return true
		}
		info, err := t.file.Stat()
		if err != nil || info.Size() <= t.read {
			continue
		}
		count, err := t.file.ReadAt(f.buffer, t.read)
		if err != nil && err != io.EOF {
			klog.Errorf("cannot read %s: %v", t.link, err)
			continue
		}
		whole := bytes.LastIndexByte(f.buffer[:count], '\n') + 1
		if whole == 0 && (count == len(f.buffer) || t.ending) {
			// No container runtime writes such a line; it must not hold up the others.
			whole = count
		}
		for _, line := range bytes.Split(f.buffer[:whole], []byte{'\n'}) {
			f.add(body, t, string(line))
		}
		t.read += int64(whole)
		more = more || (whole > 0 && t.read < info.Size())
	}
	return more
}

// add takes one line as containerd writes it: TIME STREAM TAG TEXT; the tag P says that the line goes on.
func (f *forwarder) add(body *bytes.Buffer, t *tail, line string) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) != 4 {
		return
	}
	text := t.partial[parts[1]] + parts[3]
	if len(text) > lineLimit {
		text = text[:lineLimit]
	}
	if strings.HasPrefix(parts[2], "P") {
		t.partial[parts[1]] = text
		return
	}
	delete(t.partial, parts[1])
	addLine(body, record{f.node, t.namespace, t.pod, t.container, parts[0], strings.ToValidUTF8(text, "")})
}

// forget goes back to what is delivered; the rest is read again.
func (f *forwarder) forget() {
	for _, t := range f.tails {
		t.read, t.partial = t.sent, map[string]string{}
	}
}

// commit notes that all that was read is delivered, and leaves the files that have ended.
func (f *forwarder) commit() {
	for link, t := range f.tails {
		t.sent = t.read
		if !t.ending {
			continue
		}
		if info, err := t.file.Stat(); err == nil && t.read < info.Size() {
			continue
		}
		t.file.Close()
		delete(f.tails, link)
		// Rotated: the next file begins at its start; gone: there is none.
		f.follow(link)
	}
	f.save()
}

// save writes the position file when it has changed, with the three columns that fluentd's own has.
func (f *forwarder) save() {
	var text strings.Builder
	links := make([]string, 0, len(f.tails))
	for link := range f.tails {
		links = append(links, link)
	}
	sort.Strings(links)
	for _, link := range links {
		fmt.Fprintf(&text, "%s\t%016x\t%016x\n", link, f.tails[link].sent, f.tails[link].inode)
	}
	if text.String() == f.written {
		return
	}
	next := f.positions + ".new"
	err := os.WriteFile(next, []byte(text.String()), 0o600)
	if err == nil {
		err = os.Rename(next, f.positions)
	}
	if err != nil {
		klog.Errorf("cannot keep the positions: %v", err)
		return
	}
	f.written = text.String()
}

func readPositions(path string) (map[string]position, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	positions := map[string]position{}
	for _, line := range strings.Split(string(text), "\n") {
		var link string
		var at position
		if _, err := fmt.Sscanf(line, "%s\t%x\t%x", &link, &at.offset, &at.inode); err == nil {
			positions[link] = at
		}
	}
	return positions, nil
}

// namesOf takes POD_NAMESPACE_CONTAINER-ID.log apart.
func namesOf(name string) (pod, namespace, container string, ok bool) {
	parts := strings.SplitN(strings.TrimSuffix(name, ".log"), "_", 3)
	if len(parts) != 3 {
		return "", "", "", false
	}
	end := strings.LastIndexByte(parts[2], '-')
	if end < 0 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2][:end], true
}

func namesIn(folder string) ([]string, error) {
	opened, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return opened.Readdirnames(-1)
}

func inodeOf(info os.FileInfo) uint64 {
	if status, ok := info.Sys().(*syscall.Stat_t); ok {
		return status.Ino
	}
	return 0
}
