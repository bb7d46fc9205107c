#ifndef ATTUNE_WORKER_MODELS_COMPUTE_THREADS_H_
#define ATTUNE_WORKER_MODELS_COMPUTE_THREADS_H_

namespace attune::worker {

// Gives the calling thread its own budget of compute threads: LibTorch calls
// made on it use `count` threads (itself included) from now on. Other threads
// keep theirs, so training and serving can share a process; the budgets of
// threads that compute at the same time should add up to the number of cores,
// because spinning threads in excess slow everything down many times over.
// Autograd on the CPU runs on the thread that calls it, so backward keeps to
// the budget too. `count` >= 1.
void SetComputeThreads(int count);

// The calling thread's budget.
int ComputeThreads();

// Ends the team that the calling thread's LibTorch calls have left behind; the
// next call makes a new one, in some 0.1 ms. To be called where the thread will
// not compute for a while: OpenMP counts idle teams too, and once there are
// more threads than cores every team sleeps at every barrier instead of
// spinning, which makes a training step almost twice as long.
void ReleaseComputeThreads();

// Gives memory that is free in the process back to the system: for when a
// model's weights have gone. In general it stays in the process, because fresh
// pages cost more than the arithmetic that fills them. Binaries that compute
// link tcmalloc for that: activations of a step come and go in another order
// than the one before, and the C library's heap falls to pieces over them (a
// third of a training step's memory, measured).
void ReturnFreedMemory();

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_MODELS_COMPUTE_THREADS_H_
