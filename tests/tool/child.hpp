#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace seqgpu::test {

using Words = std::vector<std::string>;

inline Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Starts a program with these words. @param out, err  files for what it says
inline pid_t start(Words words, const std::string& out = "/dev/null", const std::string& err = "/dev/null") {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  return child;
}

/// The exit code; minus the signal that it died of.
inline int wait_for(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/// Whether the child was killed; false: it ended by itself, and well.
inline bool kill_after(pid_t child, std::chrono::milliseconds delay) {
  std::this_thread::sleep_for(delay);
  kill(child, SIGKILL);
  const int code = wait_for(child);
  if (code == -SIGKILL) return true;
  EXPECT_EQ(code, 0);
  return false;
}

}  // namespace seqgpu::test
