# Reads lines of `grep -n '#include'` (file:line:text); prints each include that the table of layers refuses.

BEGIN {
  vocabulary = "^include/seqgpu/(cell|dtype|shape|error|export|device|stream|memory|tensor)\\.hpp$"
  public = "^include/seqgpu/"
  # layer (a pattern on the file's path), what it may open (patterns on the opened path); the first match counts
  rule(vocabulary, vocabulary)
  rule(public, public)
  rule("^kernels/(cells|math)/", vocabulary "|^kernels/(cells|math)/")
  rule("^kernels/block/", vocabulary "|^kernels/(cells|math|block)/")
  rule("^kernels/[^/]+/", vocabulary "|^kernels/(cells|math|block)/", "own")
  rule("^host/op/", vocabulary "|^kernels/cells/|^host/op/")
  rule("^host/device/", vocabulary "|^kernels/|^host/(op|device)/")
  rule("^host/graph/", public "|^host/(op|graph)/")
  rule("^host/schedule/", vocabulary "|^include/seqgpu/graph\\.hpp$|^host/(op|graph|device|schedule)/")
  rule("^host/api/", public "|^host/(op|graph|schedule|api)/")
  rule("^host/train/", public "|^host/(op|graph|schedule|train)/|^host/device/[^/]+$|^kernels/math/")
  rule("^host/(nn|decode|data|io)/", public, "own")
  rule("^(tools|examples)/", public, "own")
  rule("^benchmarks/", public "|^kernels/|^host/device/cpu/|^host/op/|^host/device/[^/]+$|^benchmarks/")
  # who may open the system's headers, and who anybody's
  system_headers = "^(sys/[a-z]+|sched|unistd|pthread|fcntl|dirent|stdio|errno|immintrin)\\.h$"
  near_system = "^host/(device|io|data)/"
  foreign = "^(host/(io|device/cuda)|tools|benchmarks)/|^host/data/sndfile\\.cpp$"
  # device code may open the toolkit's headers, plain C++ beside it may not
  device_code = "^kernels/(block|[a-z_]+)/[a-z0-9_]+\\.cuh?$"
  device_headers = "^(cuda_[a-z0-9_]+|cooperative_groups)\\.h$"
}

function rule(layer, may, own) { ++rules; layers[rules] = layer; allowed[rules] = may; owns[rules] = own }

function parent(path) { sub(/[^\/]*$/, "", path); return path }

# The path, from the root, that this include opens.
function resolve(file, name) {
  if (name ~ /^seqgpu\//) return "include/" name
  if (name ~ /^(kernels|benchmarks|tools|examples)\//) return name
  if (name ~ /^(op|graph|schedule|device|api|nn|train|decode|data|io)\//) return "host/" name
  return parent(file) name
}

function refuse(file, line, why) { print file ":" line ": " why; bad = 1 }

{
  split($0, at, ":"); file = at[1]; line = at[2]
  if (!match($0, /[<"][^>"]*[>"]/)) next
  quoted = substr($0, RSTART, RLENGTH); name = substr(quoted, 2, RLENGTH - 2); ++seen
  for (i = 1; i <= rules && file !~ layers[i]; ++i) {}
  if (i > rules) { refuse(file, line, "the table of layers does not know this folder"); next }
  if (quoted ~ /^</ && name !~ /^seqgpu\//) {
    if (name !~ /[\/.]/ || file ~ foreign || (file ~ near_system && name ~ system_headers) ||
        (file ~ device_code && name ~ device_headers)) next
    refuse(file, line, "only the standard library may be opened here, not " quoted)
    next
  }
  if (name ~ /\.\.\//) { refuse(file, line, "give the path from include/, host/ or the root, not " quoted); next }
  target = resolve(file, name)
  split(file, part, "/")
  own = "^" part[1] "/" (part[1] == "examples" ? "" : part[2] "/")
  if (target !~ allowed[i] && !(owns[i] == "own" && target ~ own)) refuse(file, line, "may not include " target)
}

END {
  if (!seen) { print "no includes read"; bad = 1 }
  exit bad
}
