/**
 * Goes into the page before the tag: keeps calls in order until the tag is there.
 * Each call returns the promise that the tag will keep.
 */
(function (jumelle) {
  if (jumelle.version || jumelle.track) return;
  "identify track page group alias reset consent anonymousId ready debug"
    .split(" ")
    .forEach(function (name) {
      jumelle[name] = function () {
        var call = [name].concat([].slice.call(arguments));
        jumelle.push(call);
        return new Promise(function (done) {
          call.done = done;
        });
      };
    });
})((window.jumelle = window.jumelle || []));
