// Puts what the server has made anew in the place of what is shown, whenever it says so.
(() => {
  "use strict";
  const live = document.getElementById("live");
  const headline = document.getElementById("headline");
  let isBusy = false, isBehind = false;

  const show = page => {
    const focused = document.activeElement && document.activeElement.id;
    const says = page.getElementById("headline");
    document.title = page.title;
    document.getElementById("verdict").replaceWith(page.getElementById("verdict"));
    document.getElementById("made").replaceWith(page.getElementById("made"));
    document.querySelector("main").replaceWith(page.querySelector("main"));
    // A screen reader is told of it: only when it is another.
    if (headline.textContent !== says.textContent) headline.textContent = says.textContent;
    if (focused) document.getElementById(focused)?.focus();
  };

  const refresh = () => {
    if (isBusy) {
      isBehind = true;
      return;
    }
    isBusy = true;
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.setRequestHeader("Accept", "text/html");
    request.responseType = "document";
    request.onloadend = () => {
      isBusy = false;
      if (request.response && request.response.querySelector("main")) show(request.response);
      if (isBehind) {
        isBehind = false;
        refresh();
      }
    };
    request.send();
  };

  const events = new EventSource("/events");
  events.onopen = () => { live.textContent = "live"; };
  events.onmessage = refresh;
  events.onerror = () => {
    const isRefused = events.readyState === EventSource.CLOSED;
    live.textContent = isRefused ? "looks again every 10 seconds" : "no connection to vitald";
    if (isRefused) setInterval(refresh, 10000);
  };
})();
