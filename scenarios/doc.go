// Package scenarios has no code of its own: its tests use edgerelay as people do, in a real browser, against the real program, a real receiver and a
// real mail server. One scenario for each of five kinds of products, and the checks that hold for every page: no script from data, no forged form,
// nothing that keeps somebody with a keyboard or a screen reader out.
//
// The tests need Chromium. Without it they are skipped, and fail when CI is set. Nothing may import this package.
package scenarios
